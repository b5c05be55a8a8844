"""What may be on record of an experiment: something better, worse, open, near zero and without a number."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from driftline.contracts import Experiment, ExperimentInput, Metric, RunIds
from driftline.db import experiments
from driftline.db.experiments import Recorded
from driftline.interests.experiments.result import ChannelMove, Effect, MetricResult, Reading, Result

START = datetime(2026, 3, 2, tzinfo=UTC)
SMALL = Effect(0.5, 0.50125, 0.0025, 0.0001, 0.0048, 0.0000, 0.0051, 0.06)
UP = Effect(0.5, 0.505, 0.01, 0.006, 0.014, 0.002, 0.018, 0.001)
DOWN = Effect(0.1, 0.08, -0.2, -0.25, -0.15, -0.3, -0.1, 0.0004)
NEAR = Effect(0.001, 0.003, 2.0, None, None, None, None, 0.4, near_zero=True)
NONE = Effect(0.0, 0.2, None, None, None, None, None, None)


def metric(name: str, effect: Effect, reading: Reading = "open", guardrail: bool = False) -> MetricResult:
    return MetricResult(name, "up", guardrail, False, (SMALL, effect), (SMALL, effect), reading=reading)


METRICS = (
    metric("satisfied", UP, "better"),
    metric("rate", SMALL),
    metric("rare", NEAR),
    metric("nothing", NONE),
    metric("complaints", DOWN, "worse", guardrail=True),
    replace(metric("returns", SMALL, guardrail=True), before=UP, biased=True),
)
RESULT = Result(
    START,
    2,
    "control",
    "treatment",
    {"control": 5120, "treatment": 5049},
    {"control": 0.5, "treatment": 0.5},
    0.48,
    False,
    METRICS,
    {"users_in_both_arms": 12},
    5000,
    (ChannelMove(START + timedelta(hours=30), "treatment", 12),),
)
RECORDED = Recorded(
    "rag-2026-03",
    ExperimentInput(
        "rag-2026-03", Experiment(metrics={"satisfied": Metric("s")}), START, {"control": 0.5, "treatment": 0.5}, "s"
    ),
    "experiment-rag-2026-03",
    START,
    None,
    None,
    None,
    None,
)


def add(conn: Connection, start: datetime) -> None:
    """Put it on record, as if it had begun then."""
    run = RunIds("experiment-rag-2026-03", "run")
    experiments.register(conn, replace(RECORDED.design, start=start), run)
    experiments.add(conn, RECORDED.name, replace(RESULT, start=start), run)


def later(name: str) -> ExperimentInput:
    """Another, of which nothing was measured yet."""
    return replace(RECORDED.design, name=name)
