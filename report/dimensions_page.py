"""The page of cost, agility and knowledge: sentences first, then each dimension by kind of update, then the cadence's days."""

from collections.abc import Callable

from matplotlib.dates import date2num, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from driftline.report import cadence_section, row_plots
from driftline.report.cadences import Decided, kept, replayed
from driftline.report.definitions import COST, Terms
from driftline.report.dimensions import Dimensions, TableDimensions, findings, typical
from driftline.report.layout import Cell, Grid, Plot, Section, cell, plot
from driftline.report.page import document
from driftline.report.plot_style import MUTED, SERIES, drawing, figure, margins
from driftline.report.plots import WHOLE
from driftline.report.words import count, day, duration, percent

NOTE = "Medians over the newest runs of each kind. Seconds are those of training and bulk inference; counting is not in them."
KNOWLEDGE = (
    ("recall", "share of the test window's triples that the table predicts; the test window is the newest of each run's own."),
    ("popular", "recall of the most popular successor on the same days."),
    ("changed", "share of the pairs whose answer is another than in the table before."),
)
CADENCE = (
    ("fresh − stale", "triples of the day before that counts up to it predict more than the counts of the served table."),
    ("lost", "the same, added up since the last update; an update is due when it is beyond noise (docs/cadence.md)."),
)


def render(found: Dimensions) -> str:
    """The page, one self-contained HTML file. The same content gives the same bytes, with the same release of matplotlib."""
    compared, lived = replayed(found.replays), kept(found.days)
    with drawing():
        frontier = cadence_section.section(compared, lived, found.refresh_seconds)
        sections = (_cost(found), _agility(found), _knowledge(found), frontier, _days(found))
    facts = [("channel", found.channel), ("tables", count(len(found.runs))), ("days on record", count(len(found.days)))]
    return document(
        title="Driftline: cost, agility, knowledge",
        brand="Driftline updates",
        heading="What does each update cost, how soon does it act, and what does it know?",
        facts=facts,
        findings=findings(found),
        note=NOTE,
        empty="No update is on record yet.",
        sections=sections,
    )


def _cost(found: Dimensions) -> Section:
    timed = [(name, [run for run in runs if run.cpu_seconds is not None]) for name, runs in found.kinds.items()]
    bars = [
        (
            name,
            (
                typical([run.cost.train_cpu_seconds for run in runs]) or 0.0,
                typical([run.cost.generate_cpu_seconds for run in runs]) or 0.0,
            ),
        )
        for name, runs in timed
        if runs
    ]
    drawn = row_plots.stacked(bars, ("training", "bulk inference"), "CPU time") if bars else None
    plots = (plot(drawn, "cpu", "CPU time of an update", "Medians by kind."),) if drawn else ()
    columns: dict[str, Callable[[TableDimensions], float | None]] = {
        "training: CPU": lambda run: run.cost.train_cpu_seconds,
        "inference: CPU": lambda run: run.cost.generate_cpu_seconds,
        "GPU": lambda run: run.gpu_seconds,
        "wall": lambda run: run.wall_seconds,
    }
    grid = _by_kind(found, "What an update of each kind cost", columns, duration, "none on record")
    lead = "The first dimension (paper §1). A refresh trains nothing, and one of the counts asks no LLM."
    return Section("cost", "What did it cost?", "Cost", lead, _terms("CPU, GPU, wall"), plots, *_or_missing(found, grid))


def _agility(found: Dimensions) -> Section:
    columns: dict[str, Callable[[TableDimensions], float | None]] = {"from data to serving": lambda run: run.delay}
    grid = _by_kind(found, "How long after the end of its data an update was served", columns, duration, "not published")
    lead = "The second dimension: a table acts when it is served. Long for a run of a past date, and with a review in it."
    return Section("agility", "How soon did it act?", "Agility", lead, _terms("agility"), (), *_or_missing(found, grid))


def _knowledge(found: Dimensions) -> Section:
    columns: dict[str, Callable[[TableDimensions], float | None]] = {
        "recall": lambda run: run.recall,
        "chance": lambda run: run.chance,
        "popular": lambda run: run.popular,
        "changed": lambda run: run.cost.changed,
    }
    grid = _by_kind(found, "What the tables of each kind knew", columns, percent)
    lead = "The third dimension, each run on its own test window: kinds that ran at other times are not paired."
    return Section("knowledge", "What did it learn?", "Knowledge", lead, KNOWLEDGE, (), *_or_missing(found, grid))


def _days(found: Dimensions) -> Section:
    rows = tuple(_row(decided) for decided in reversed(found.days))
    grid = Grid("Every day, newest first", ("day", "action", "fresh − stale", "triples", "why"), rows, 2, None, len(rows) > 30)
    measured = [decided for decided in found.days if decided.measured]
    plots: tuple[Plot, ...] = ()
    if measured:
        caption = "Lines: days on which an update started."
        plots = (plot(_lost(found), "lost", "Triples lost since the last update", caption, wide=True),)
    missing = () if found.days else ("Not recorded: set `cadence.policy` to `adaptive` and run `driftline schedule apply`.",)
    lead = "Which days an update started by itself, and why."
    return Section("cadence", "What did the cadence decide?", "Cadence", lead, CADENCE, plots, (grid,) if rows else (), missing)


def _row(decided: Decided) -> tuple[Cell, ...]:
    measured = decided.measured
    more = None if measured is None else measured.fresh - measured.stale
    return (
        Cell(day(decided.day)),
        Cell(decided.action),
        cell(more, lambda n: f"{n:+,}".replace("-", "−"), "not measured"),
        cell(None if measured is None else measured.triples, count, "not measured"),
        Cell(" ".join(decided.reasons), words=True),
    )


def _lost(found: Dimensions) -> Figure:
    drawn = figure(WHOLE, 260)
    axes = drawn.subplots()
    margins(drawn, 58, 24, 22, 40)
    axes.set_title("triples lost since the last update")
    for decided in found.days:
        if decided.action != "none":
            axes.axvline(date2num(decided.day), color=MUTED, lw=1.2, ls=":")
    axes.plot([date2num(decided.day) for decided in found.days], found.lost, color=SERIES[0], marker="o", ms=4)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(lambda value, _: f"{num2date(value):%Y-%m-%d}")
    return drawn


def _terms(*names: str) -> Terms:
    """Picks terms of the report on a table, with its words."""
    return tuple((name, meaning) for name, meaning in COST if name in names)


def _by_kind(
    found: Dimensions,
    caption: str,
    columns: dict[str, Callable[[TableDimensions], float | None]],
    shown: Callable[[float], str],
    lack: str = "not recorded",
) -> Grid:
    rows = []
    for name, runs in found.kinds.items():
        cells = [cell(typical([of(run) for run in runs]), shown, lack) for of in columns.values()]
        rows.append((Cell(name), Cell(count(len(runs))), *cells))
    return Grid(caption, ("update", "runs", *columns), tuple(rows))


def _or_missing(found: Dimensions, grid: Grid) -> tuple[tuple[Grid, ...], tuple[str, ...]]:
    return ((grid,), ()) if found.runs else ((), ("Not recorded: no table is on record.",))
