"""Arms as points in a plane: how often they are right against how widely they answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from driftline.interests.metrics.arms import setting_of, sweep_of
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.frontier import Axis
from driftline.interests.metrics.hits import ArmHits, HitRates
from driftline.report.plot_style import CHARACTER, MARKERS, MUTED, PAPER, SERIES, Label, figure, label_ends, margins
from driftline.report.plots import ARM_COLOURS, AS_PERCENT, STEPS, WHOLE


@dataclass(frozen=True)
class Plane:
    against: Axis
    title: str
    of: Callable[[ArmHits], float | None]
    share: bool


PLANES = (
    Plane("effective_clusters", "against interests answered, effectively", lambda arm: arm.effective_clusters, share=False),
    Plane("novel", "against predictions new to the user", lambda arm: arm.novel.value, share=True),
)


def frontier(hits: HitRates, chance: float) -> Figure:
    """Recall against the number of interests answered, and against novelty; filled: no other arm beats it on both."""
    drawn = figure(WHOLE, 330)
    panels = drawn.subplots(1, 2, sharey=True)
    longest = max((len(arm.name) for arm in hits.arms), default=0)
    margins(drawn, 48, CHARACTER * longest + 24, 22, 40, wspace=0.08)
    looks = _looks(hits.arms)
    recalls = {arm.name: arm.recall for arm in hits.arms if arm.recall and arm.recall.value is not None}
    low, high = _range(list(recalls.values()), chance)
    for axes, plane in zip(panels, PLANES, strict=True):
        axes.set_title(f"recall {plane.title}")
        axes.set_ylim(low, high)
        axes.axhline(chance, color=MUTED, ls=":", lw=1.2)
        best = next((line.arms for line in hits.frontiers if line.against == plane.against), ())
        points = {
            arm.name: (x, recalls[arm.name]) for arm in hits.arms if (x := plane.of(arm)) is not None and arm.name in recalls
        }
        _sweeps(axes, points, looks)
        for name, (x, recall) in points.items():
            _point(axes, x, recall, looks[name], name in best)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axes.xaxis.set_major_formatter(AS_PERCENT if plane.share else FuncFormatter(lambda value, _: f"{value:.10g}"))
        axes.margins(x=0.1)
    panels[0].yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    panels[0].yaxis.set_major_formatter(AS_PERCENT)
    labels = [Label(name, recall.value or 0.0, looks[name][0]) for name, recall in recalls.items()]
    label_ends(panels[1], [*labels, Label("chance", chance, MUTED)])
    return drawn


def _looks(arms: Sequence[ArmHits]) -> dict[str, tuple[str, str]]:
    """Colour and marker; the settings of one arm share them."""
    names = list(dict.fromkeys(sweep_of(arm.name) for arm in arms))
    looks = {name: (ARM_COLOURS.get(name, SERIES[place % 6]), MARKERS[place % 6]) for place, name in enumerate(names)}
    return {arm.name: looks[sweep_of(arm.name)] for arm in arms}


def _sweeps(axes: Axes, points: dict[str, tuple[float, Estimate]], looks: dict[str, tuple[str, str]]) -> None:
    """A line along the settings of each arm that has several."""
    settings = {name: setting for name in points if (setting := setting_of(name)) is not None}
    for arm in dict.fromkeys(map(sweep_of, settings)):
        line = sorted((name for name in settings if sweep_of(name) == arm), key=settings.__getitem__)
        y = [points[name][1].value or 0.0 for name in line]
        axes.plot([points[name][0] for name in line], y, color=looks[line[0]][0], lw=1)


def _point(axes: Axes, x: float, recall: Estimate, look: tuple[str, str], best: bool) -> None:
    colour, marker = look
    if recall.low is not None and recall.high is not None:
        axes.vlines([x], [recall.low], [recall.high], color=colour, lw=1.4)
    inside = colour if best else PAPER
    axes.plot([x], [recall.value or 0.0], color=colour, marker=marker, ms=7, mfc=inside, mew=1.6, ls="")


def _range(recalls: Sequence[Estimate], chance: float) -> tuple[float, float]:
    ends = [chance, *(end for e in recalls for end in (e.value, e.low, e.high) if end is not None)]
    room = 0.08 * (max(ends) - min(ends)) or 0.01
    return max(0.0, min(ends) - room), max(ends) + room
