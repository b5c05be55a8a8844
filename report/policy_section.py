"""Section 9: what the whole policy, from histories to items, brings on held-out days, and what it costs."""

from driftline.interests.metrics.estimates import Difference
from driftline.interests.metrics.policy import Policy
from driftline.interests.metrics.significance import detected
from driftline.report.content import Content
from driftline.report.definitions import Terms
from driftline.report.layout import Cell, Grid, Section, cell, sources, unmeasured
from driftline.report.words import count, interval, lacking, percent, points

POLICY: Terms = (
    (
        "asked",
        "Every user with a history who takes something on the held-out days, once, when they begin: a list of items that they "
        "have not had, by a table and a recommender that have seen nothing of these days. 95 % intervals over users.",
    ),
    (
        "turned to a new interest",
        "Share of users who took anything of a listed interest that they had shown in none of the log before.",
    ),
    ("took an item of it", "Share of users who took a listed item of such an interest: exploration that came true."),
    ("took any item", "Share of users who took a listed item, of a new interest or a known one."),
    ("items of a new interest", "Mean share of a user's listed items whose interest was new to them."),
    (
        "effective items",
        "2^H, H = −Σ p(i) log2 p(i), p(i) = share of all list places that item i has.",
    ),
    (
        "what it is not",
        "The users were not shown these lists. Who would have taken an item only because it was shown counts for no arm.",
    ),
)


def policy(content: Content) -> Section:
    found = content.policy
    return Section(
        "policy",
        "From an interest to items: what does exploring cost and bring?",
        "Items",
        "The policy lists items of the interest that the table names; the recommender without an interest what is likeliest.",
        POLICY,
        (),
        _grids(found) if found else (),
        found.missing if found else unmeasured("policy"),
        sources(content, "policy"),
    )


def _grids(found: Policy) -> tuple[Grid, ...]:
    rows = tuple(
        (
            Cell(arm.name),
            *(cell(estimate, percent) for estimate in (arm.interest, arm.explored, arm.item, arm.novel)),
            cell(arm.items, count),
            cell(arm.effective_items, lambda value: f"{value:,.0f}"),
        )
        for arm in found.arms
    )
    columns = (
        *("arm", "turned to a new interest", "took an item of it", "took any item", "items of a new interest"),
        *("items shown", "effective items"),
    )
    shown = Grid(f"{count(found.users)} users, {found.at} items each, of {count(found.catalogue)}", columns, rows)
    return (shown, _differences(found)) if found.differences else (shown,)


def _differences(found: Policy) -> Grid:
    both = [*found.uptake_differences, *found.differences]
    differs = detected([one.estimate for one in both])
    half = len(found.differences)
    rows = tuple(
        (Cell(f"{new.a} − {new.b}"), _difference(new, differs[i]), _difference(any_, differs[half + i]))
        for i, (new, any_) in enumerate(zip(found.uptake_differences, found.differences, strict=True))
    )
    return Grid("Differences, paired by user", ("arms", "took an item of a new interest", "took any item"), rows)


def _difference(found: Difference, differs: bool) -> Cell:
    estimate = found.estimate
    if estimate.value is None:
        return Cell(lacking(estimate.n), words=True)
    return Cell(f"{points(estimate.value)}{'' if differs else ' (may be chance)'}", interval(estimate, points))
