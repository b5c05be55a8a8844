"""Live experiments: what each says so far, metric by metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from driftline.interests.experiments.result import MetricResult, Result
from driftline.operations import experiments
from driftline.operations.experiments import ExperimentState
from driftline.report.experiment_findings import around, findings, relative
from driftline.report.finding import Finding
from driftline.web.guard import context
from driftline.web.page import render
from driftline.web.plots import PlotLine

LISTED = 20


@dataclass(frozen=True)
class MetricRow:
    """A metric as the page writes it. `curves`: all days up to each, between the bounds that are valid on every day."""

    metric: MetricResult
    difference: str
    always: str
    once: str
    curves: tuple[PlotLine, ...]


@dataclass(frozen=True)
class Shown:
    state: ExperimentState
    findings: tuple[Finding, ...]
    ticks: tuple[str, ...]
    marks: Mapping[int, str]
    """Days on which a channel moved to another table."""
    rows: tuple[MetricRow, ...]


def index(request: Request) -> Response:
    found = experiments.known(context(request))
    return render(
        request,
        "experiments.html",
        shown=[_shown(state) for state in found[:LISTED]],
        older=max(0, len(found) - LISTED),
        alone=False,
    )


def show(request: Request) -> Response:
    """One of them: where links of messages and reviews lead."""
    state = experiments.get(context(request), request.path_params["name"])
    return render(request, "experiments.html", shown=[_shown(state)], older=0, alone=True)


def _shown(state: ExperimentState) -> Shown:
    if state.measured is None:
        return Shown(state, (), (), {}, ())
    result = state.measured.result
    ticks = tuple(f"{result.start + timedelta(days=day):%Y-%m-%d}" for day in range(result.days))
    moves = {(move.at - result.start).days: f"{move.channel}: table {move.table}" for move in result.updates}
    marks = {day: said for day, said in moves.items() if 0 <= day < result.days}
    return Shown(state, findings(result), ticks, marks, tuple(_row(result, metric) for metric in result.metrics))


def _row(result: Result, metric: MetricResult) -> MetricRow:
    effect = metric.cumulated[-1]
    curves = (
        PlotLine(f"{result.treatment} over {result.control}", [e.value for e in metric.cumulated], "a"),
        PlotLine("no difference", [0.0] * result.days, "d"),
        PlotLine("bounds, valid on every day", [e.always_low for e in metric.cumulated], "f"),
        PlotLine("bounds, valid on every day", [e.always_high for e in metric.cumulated], "f"),
    )
    difference = "no number" if effect.value is None else relative(effect.value)
    return MetricRow(metric, difference, around(effect), around(effect, always=False), curves)
