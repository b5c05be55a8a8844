"""Cost, agility, knowledge: what updates cost, how soon they acted and what they learnt; and which days the cadence chose."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from driftline.operations import cadence
from driftline.report.cadences import HOW, LLM, CadenceCurve, Compared, kept, replayed
from driftline.report.dimensions import TableDimensions, findings, typical
from driftline.web.guard import context
from driftline.web.page import render
from driftline.web.plots import PlotLine, Point, Trail
from driftline.web.words import action

RUNS = 10
"""Newest tables of each kind."""
DAYS = 90
LISTED = 14
"""Days that are not folded away."""
STYLES = "abc"


@dataclass(frozen=True)
class Kind:
    """Medians over the newest runs of one kind of update."""

    name: str
    runs: int
    cpu: float | None
    gpu: float | None
    wall: float | None
    delay: float | None
    recall: float | None
    chance: float | None
    popular: float | None
    changed: float | None


@dataclass(frozen=True)
class FrontierPlot:
    """A plot of cost against hit rate. `seconds`: CPU of one update of the LLM's."""

    title: str
    compared: Compared
    trails: tuple[Trail, ...]
    asks: str = LLM
    seconds: float | None = None


def index(request: Request) -> Response:
    found = cadence.dimensions(context(request), RUNS, DAYS)
    lost = PlotLine("lost since the last update", [float(lost) for lost in found.lost], "a")
    frontiers = (
        _frontier("Cadences replayed", replayed(found.replays), found.refresh_seconds),
        _frontier("The cadence as it was kept", kept(found.days), found.refresh_seconds),
    )
    return render(
        request,
        "updates.html",
        standing=cadence.status(context(request), 1),
        findings=findings(found),
        kinds=[_kind(name, runs) for name, runs in found.kinds.items()],
        frontiers=[frontier for frontier in frontiers if frontier],
        missing=[how for how, frontier in zip(HOW, frontiers, strict=True) if frontier is None],
        days=found.days[::-1],
        listed=LISTED,
        ticks=[f"{day.day:%Y-%m-%d}" for day in found.days],
        lost=lost,
        marks={place: action(day.action) for place, day in enumerate(found.days) if day.action != "none"},
    )


def _kind(name: str, runs: list[TableDimensions]) -> Kind:
    return Kind(
        name,
        len(runs),
        cpu=typical([run.cpu_seconds for run in runs]),
        gpu=typical([run.gpu_seconds for run in runs]),
        wall=typical([run.wall_seconds for run in runs]),
        delay=typical([run.delay for run in runs]),
        recall=typical([run.recall for run in runs]),
        chance=typical([run.chance for run in runs]),
        popular=typical([run.popular for run in runs]),
        changed=typical([run.cost.changed for run in runs]),
    )


def _frontier(title: str, compared: Compared | None, seconds: float | None) -> FrontierPlot | None:
    if compared is None:
        return None
    trails = tuple(_trail(curve, style) for curve, style in zip(compared.lines, STYLES, strict=False))
    return FrontierPlot(title, compared, tuple(trail for trail in trails if trail.points), seconds=seconds)


def _trail(curve: CadenceCurve, style: str) -> Trail:
    points = (
        Point(one.name, one.updates, one.rate.value, one.rate.low, one.rate.high, one.name in curve.unbeaten)
        for one in curve.cadences
        if one.rate.value is not None
    )
    return Trail(curve.name, tuple(points), style)
