"""The page of an experiment: sentences first, then a panel for each metric, then every number."""

from datetime import timedelta

from driftline.db.experiments import Measured, Recorded
from driftline.interests.experiments.result import Effect, MetricResult, Result
from driftline.report import experiment_plots
from driftline.report.content import Provenance
from driftline.report.experiment_findings import around, findings, relative
from driftline.report.layout import Cell, Grid, Plot, Section, plot
from driftline.report.page import document
from driftline.report.plot_style import drawing
from driftline.report.words import count, day, percent

NOTE = (
    "“Rose”, “fell”, “better” and “worse”: the interval that is valid on every day leaves out 0; guardrails are tested together "
    "(Holm). “Cannot be told apart”: it may be 0. Nothing here decides: `driftline experiment stop NAME --ship CHANNEL` opens a "
    "review."
)
TERMS = (
    ("relative difference", "(treatment − control) / |control|. A metric is a sum per exposed user, or a ratio of two sums."),
    ("95 % interval", "by the delta method over users; of a ratio with the covariance of its two sums. Student's t."),
    (
        "valid on every day",
        "an asymptotic confidence sequence (arXiv 2103.06476): it holds the truth on all days at once with 95 %, so that peeking "
        "is allowed. It is narrowest at `experiment.planned_users`.",
    ),
    ("adjusted", "by the same metric in the days before the start (CUPED): less noise, and the same difference on average."),
    ("users", "those exposed by then; what they did before their first exposure counts for nothing."),
    ("near zero", "control is within three standard errors of 0: intervals are Fieller's, and may have no bound."),
)
SPLIT_TERMS = (
    ("mismatch", "the chance of a split as far from the weights (chi-square). Below 0.001 no result is shown."),
    (
        "before the start",
        "the arms in the days before: a difference (p < 1 %, all metrics together) is a fault of the assignment.",
    ),
)


def render(recorded: Recorded, measured: Measured) -> str:
    """The page, one self-contained HTML file."""
    result = measured.result
    with drawing():
        sections = (_metrics(result, measured), *([] if result.mismatch else [_by_day(result)]), _users(result))
    return document(
        title=f"Driftline: experiment {recorded.name}",
        brand="Driftline experiment",
        heading=f"{recorded.name}: does {result.treatment} pay?",
        facts=_facts(recorded, measured),
        findings=findings(result),
        note=NOTE,
        empty="Nothing was measured yet.",
        sections=sections,
    )


def _facts(recorded: Recorded, measured: Measured) -> tuple[tuple[str, str], ...]:
    result = measured.result
    stands: str = recorded.outcome or "running"
    if recorded.outcome == "stopped":
        stands = f"stopped by {recorded.actor}: {recorded.reason}"
    return (
        ("compared", f"{result.treatment} to {result.control}"),
        ("first day", day(result.start)),
        ("measured", f"{result.days} of {recorded.design.experiment.days} days"),
        ("users", count(sum(result.users.values()))),
        ("state", stands),
        ("written", f"{measured.created_at:%Y-%m-%d %H:%M} UTC"),
    )


def _metrics(result: Result, measured: Measured) -> Section:
    return Section(
        "metrics",
        "What changed?",
        "Metrics",
        "How far is each metric of the treated users from that of the others, day by day and in all?",
        TERMS,
        tuple(_panel(result, place, metric) for place, metric in enumerate(result.metrics)),
        (_in_all(result),) if result.metrics else (),
        ("No result is shown: the split of the users is wrong.",) if result.mismatch else (),
        (Provenance("experiment", measured.version, {"planned_users": result.planned_users, "expected": dict(result.expected)}),),
    )


def _panel(result: Result, place: int, metric: MetricResult) -> Plot:
    effect = metric.cumulated[-1]
    said = f"{relative(effect.value)}, {around(effect, always=False)}" if effect.value is not None else "no number"
    dotted = " Dotted: a table update." if result.updates else ""
    caption = (
        "Filled: all days up to it, with its 95 % interval and, lighter, the one that is valid on every day. Hollow: the day "
        f"alone.{dotted}"
    )
    title = f"{metric.name}{' (guardrail)' if metric.guardrail else ''}: {said}"
    return plot(experiment_plots.panel(result, metric), f"metric-{place}", title, caption)


def _in_all(result: Result) -> Grid:
    columns = (
        "metric",
        "better is",
        result.control,
        result.treatment,
        "relative difference",
        "valid on every day",
        "p, valid on every day",
        "variance taken away by the days before",
        "reads",
    )
    rows = tuple(
        (
            Cell(f"{metric.name}{' (guardrail)' if metric.guardrail else ''}"),
            Cell(metric.good),
            _plain(metric.cumulated[-1].control),
            _plain(metric.cumulated[-1].treatment),
            _effect(metric.cumulated[-1]),
            Cell(around(metric.cumulated[-1])),
            _p(metric.cumulated[-1]),
            Cell(percent(metric.reduction)),
            Cell("cannot be told apart" if metric.reading == "open" else metric.reading),
        )
        for metric in result.metrics
    )
    return Grid(f"In all, after {result.days} days", columns, rows, words=2)


def _by_day(result: Result) -> Section:
    grids = []
    for metric in result.metrics:
        columns = ("day", "that day", "up to it", "valid on every day", "p, valid on every day")
        rows = tuple(
            (Cell(day(result.start + timedelta(days=place))), _effect(daily), _effect(so_far), Cell(around(so_far)), _p(so_far))
            for place, (daily, so_far) in enumerate(zip(metric.daily, metric.cumulated, strict=True))
        )
        grids.append(Grid(metric.name, columns, rows, folded=True))
    lead = "Every number behind the panels. A day's own interval is of one look: of many days one in twenty leaves out the truth."
    return Section("days", "Day by day", "Days", lead, (), grids=tuple(grids))


def _users(result: Result) -> Section:
    total, weight = sum(result.users.values()), sum(result.expected.values())
    rows = tuple(
        (
            Cell(name),
            Cell(count(result.users[arm])),
            Cell(percent(result.users[arm] / total) if total else "–"),
            Cell(percent(result.expected[arm] / weight)),
        )
        for arm, name in (("control", result.control), ("treatment", result.treatment))
    )
    grids = [Grid("The split of the users", ("channel", "users", "share", "by the weights"), rows)]
    known = [metric for metric in result.metrics if metric.before is not None]
    if known:
        before = tuple((Cell(m.name), _effect(m.before), Cell("differs" if m.biased else "no")) for m in known if m.before)
        grids.append(Grid("Before the start", ("metric", "relative difference", "differs"), before))
    if result.updates:
        moves = tuple((Cell(day(move.at)), Cell(move.channel), Cell(str(move.table))) for move in result.updates)
        grids.append(Grid("Table updates", ("at", "channel", "table"), moves, words=2))
    lead = "Was everybody counted, and were the two arms alike before?"
    return Section("users", "Are the arms comparable?", "Users", lead, SPLIT_TERMS, grids=tuple(grids))


def _effect(effect: Effect) -> Cell:
    if effect.value is None:
        return Cell("no number", words=True)
    return Cell(relative(effect.value), around(effect, always=False))


def _plain(value: float | None) -> Cell:
    return Cell("no number", words=True) if value is None else Cell(f"{value:.4g}".replace("-", "−"))


def _p(effect: Effect) -> Cell:
    return Cell("no number", words=True) if effect.p is None else Cell(f"{effect.p:.2g}")
