"""Section 4: what exploring costs in hits, and where who predicts better."""

from driftline.interests.metrics.baselines import chance
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import ArmHits, HitRates
from driftline.report import scatter_plots
from driftline.report.content import Content
from driftline.report.definitions import FRONTIER
from driftline.report.exploring import seen
from driftline.report.layout import Cell, Grid, Plot, Section, cell, plot, sources
from driftline.report.words import count, percent

NONE = Estimate(None, None, None, 0)


def frontier(content: Content) -> Section:
    measured = _measured(content)
    return Section(
        "frontier",
        "What does exploring cost in hits?",
        "Frontier",
        "Popular answers are easy to hit and explore nothing. How often is each mapping right, and how widely does it answer?",
        FRONTIER,
        tuple(made for name, title, hits in measured for made in _plots(name, title, hits, content.clusters)),
        tuple(made for _, title, hits in measured for made in _grids(title, hits, content.clusters)),
        () if measured else ("Not measured: a run of a later release, or `driftline evaluate refresh`, puts it on record.",),
        sources(content, "quality", "refresh") if measured else (),
    )


def _measured(content: Content) -> list[tuple[str, str, HitRates]]:
    """The table's own test window, and the held-out days of the replay."""
    own = next((quality.hits for quality in content.qualities if quality.table == content.table), None)
    both = (
        ("own", f"table {content.table} on its test window", own),
        ("replay", "the replay of held-out days", content.refresh),
    )
    return [(name, title, hits) for name, title, hits in both if hits and hits.frontiers]


def _plots(name: str, title: str, hits: HitRates, clusters: int) -> list[Plot]:
    text = "Filled: no other mapping beats it on both. Values count as measured; whiskers: 95 % intervals of recall over users."
    figure = scatter_plots.frontier(hits, chance(clusters))
    return [plot(figure, f"frontier-{name}", f"Recall, spread and novelty: {title}", text, wide=True)]


def _grids(title: str, hits: HitRates, clusters: int) -> list[Grid]:
    best = {line.against: line.arms for line in hits.frontiers}
    rows = tuple(
        (
            Cell(arm.name),
            cell(arm.recall or NONE, percent),
            cell(arm.effective_clusters, lambda value: f"{value:.1f}"),
            cell(arm.novel, percent),
            cell(arm.uptake or NONE, percent),
            Cell(_unbeaten(arm, best.get("effective_clusters", ()), best.get("novel", ()))),
        )
        for arm in hits.arms
    )
    drawn = Cell("drawn at random", words=True)
    random = (Cell("chance"), cell(chance(clusters), percent), drawn, drawn, cell(hits.uptake_chance, percent), Cell("–"))
    about = f"{count(hits.triples)} triples, {count(hits.occurrences)} occurrences, {count(hits.users)} users"
    columns = ("mapping", "recall", f"effective clusters of {clusters}", "new to the user", "uptake", "unbeaten in recall and …")
    grids = [Grid(f"Frontier, {title}: {about}", columns, (*rows, random))]
    if hits.levels:
        grids.append(_levels(title, hits))
    return grids


def _unbeaten(arm: ArmHits, spread: tuple[str, ...], novelty: tuple[str, ...]) -> str:
    return ", ".join(word for word, best in (("spread", spread), ("novelty", novelty)) if arm.name in best) or "beaten"


def _levels(title: str, hits: HitRates) -> Grid:
    names = [arm.name for arm in hits.arms]
    columns = ("pair seen", "pairs", "occurrences", *(f"{what}: {name}" for name in names for what in ("recall", "hit rate")))
    rows = tuple(
        (
            Cell(seen(level)),
            cell(level.pairs, count),
            cell(level.occurrences, count),
            *(cell(estimate, percent) for arm in level.arms for estimate in (arm.recall, arm.rate)),
        )
        for level in hits.levels
    )
    return Grid(f"By support of the pair, {title}", columns, rows, folded=True)
