"""What updating more often buys: cost against hit rate, of cadences that were replayed and of the one that was kept."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from driftline.report.cadences import HOW, LLM, Compared
from driftline.report.layout import Cell, Grid, Plot, Section, cell, plot
from driftline.report.plot_style import CHARACTER, MARKERS, PAPER, SERIES, Label, figure, label_ends, margins
from driftline.report.plots import AS_PERCENT, STEPS, WHOLE, limits
from driftline.report.words import count, duration, percent

TERMS = (
    ("updates", "after the first day. One of the LLM costs the median of its newest RAG refreshes; one of counts asks no LLM."),
    ("replayed", "share of the occurrences of a pair whose answer comes true in the rest of the user's sequence (hit rate)."),
    ("kept", "share of each day's triples that counts predict that are as old as the cadence had them; no LLM is asked daily."),
    ("unbeaten", "none that answers alike hits as much or more with as many updates or fewer, and is better in one of both."),
)


def section(replayed: Compared | None, kept: Compared | None, seconds: float | None) -> Section:
    """The section about cadences. `seconds`: CPU of a typical RAG refresh."""
    both = (("replayed", "replayed", replayed), ("kept", "as they were kept", kept))
    there = [(name, about, found) for name, about, found in both if found]
    return Section(
        "frontier",
        "What does updating more often buy?",
        "Frontier",
        "Cost against hit rate, each plot over the same days. The two plots are of other days and do not compare.",
        TERMS,
        tuple(_plot(name, f"Cadences {about}, {found.days}", found) for name, about, found in there),
        tuple(_grid(f"Cadences {about}, {found.days}", found, seconds) for name, about, found in there),
        tuple(how for how, found in zip(HOW, (replayed, kept), strict=True) if found is None),
    )


def _plot(name: str, title: str, found: Compared) -> Plot:
    caption = "Filled: no cadence of its kind beats it on both. Whiskers: 95 % intervals over users."
    return plot(_frontier(found), f"cadences-{name}", title, caption, wide=True)


def _frontier(found: Compared) -> Figure:
    drawn = figure(WHOLE, 280)
    axes = drawn.subplots()
    longest = max(len(line.name) for line in found.lines)
    margins(drawn, 58, CHARACTER * longest + 30, 22, 44)
    axes.set_title("hit rate against updates")
    axes.set_ylim(*limits([one.rate for line in found.lines for one in line.cadences]))
    ends = []
    for place, line in enumerate(found.lines):
        colour, marker = SERIES[place], MARKERS[place]
        known = [(one, one.rate.value) for one in line.cadences if one.rate.value is not None]
        axes.plot([one.updates for one, _ in known], [value for _, value in known], color=colour, lw=1)
        for one, value in known:
            if one.rate.low is not None and one.rate.high is not None:
                axes.vlines([one.updates], [one.rate.low], [one.rate.high], color=colour, lw=1.4)
            inside = colour if one.name in line.unbeaten else PAPER
            axes.plot([one.updates], [value], color=colour, marker=marker, ms=7, mfc=inside, mew=1.6, ls="")
        ends += [Label(line.name, known[-1][1], colour)] if known else []
    label_ends(axes, ends)
    axes.set_xlabel("updates")
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=STEPS, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    axes.yaxis.set_major_formatter(AS_PERCENT)
    return drawn


def _grid(caption: str, found: Compared, seconds: float | None) -> Grid:
    rows = tuple(
        (
            Cell(line.name),
            Cell(one.name),
            Cell(count(one.updates)),
            _cost(line.name, one.updates, seconds),
            cell(one.rate, percent),
            Cell("unbeaten" if one.name in line.unbeaten else "beaten"),
        )
        for line in found.lines
        for one in line.cadences
    )
    return Grid(caption, ("answers", "renewed", "updates", "CPU of the updates", "hit rate", ""), rows, 2)


def _cost(answers: str, updates: int, seconds: float | None) -> Cell:
    if answers != LLM:
        return Cell("no LLM", words=True)
    return cell(None if seconds is None else updates * seconds, duration, "none on record")
