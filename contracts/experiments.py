"""Live experiments: users on two channels, their exposures and outcomes, and what is measured of them day by day."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import STRICT, Days, Gates
from driftline.contracts.reviews import Name
from driftline.contracts.versions import Evaluation, RunIds

MOST_DAYS = 365


@dataclass(frozen=True, config=STRICT)
class Metric:
    """What an experiment measures: a sum per user or, with `per`, a ratio of two sums. DuckDB expressions over the outcomes."""

    value: Annotated[str, Field(min_length=1)]
    """A number or a condition of a row, e.g. `satisfied` or `watched > 0.8`; what is null counts 0."""
    per: str = ""
    """Denominator of a rate, e.g. `responses`, or `1.0` for each row; empty: per exposed user."""
    good: Literal["up", "down"] = "up"
    """Which way is better."""
    guardrail: bool = False
    """Must not get worse; all guardrails are tested together (Holm)."""


MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_ -]{0,63}$")]
ExperimentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """A live experiment (docs/experiments.md). Who is on which channel is `serving.channels` and `serving.salt`."""

    exposures: str = ""
    """Who was shown what one of the two channels answers, and when: files or a DuckDB query, as `source.events`."""
    outcomes: str = ""
    """What users did, with the metrics' columns, in the same forms. Empty: the exposures have them."""
    setup: str = ""
    """DuckDB statements that run first, as `source.setup`."""
    user: str = "user"
    """The user's id, in both."""
    timestamp: str = "ts"
    """Date and time, in both."""
    arm: str = ""
    """The channel's name in an exposure. Empty: by the hash that `driftline serve` goes by."""
    control: Name = "control"
    """Channel of the users who are compared to."""
    treatment: Name = "treatment"
    """Channel of the users who are compared."""
    metrics: dict[MetricName, Metric] = Field(default_factory=dict)
    """By name, e.g. `[experiment.metrics.satisfaction]` with `value`, `per`, `good` and `guardrail`."""
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 14
    """How long it is measured, unless it is stopped before."""
    days_before: Annotated[int, Field(ge=0, le=MOST_DAYS)] = 14
    """Days of outcomes before the start that the metrics are adjusted by (CUPED), and that must not differ. 0: none."""
    planned_users: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5000
    """Users of both arms at whose number the always-valid interval is narrowest. Choose it before the start."""
    delay: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=7))] = timedelta(hours=6)
    """How long after midnight (UTC) a day is measured, so that late events arrive."""


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("needs a time zone")
    return time


Instant = Annotated[datetime, AfterValidator(_utc)]


@dataclass(frozen=True)
class ExperimentInput:
    """What an experiment is started with, and keeps to its end: `weights` and `salt` are those of that moment."""

    name: ExperimentName
    experiment: Experiment
    start: Instant
    """A midnight; the first day begins with it."""
    weights: dict[str, float]
    """Of all channels."""
    salt: str


def arm_weights(request: ExperimentInput) -> tuple[float, float]:
    """Those of control and treatment."""
    return request.weights[request.experiment.control], request.weights[request.experiment.treatment]


@dataclass(frozen=True)
class RegisterExperiment:
    request: ExperimentInput
    run: RunIds


@dataclass(frozen=True)
class MeasureExperiment:
    request: ExperimentInput
    days: Days
    """Whole days since the start."""
    run: RunIds


@dataclass(frozen=True)
class ExperimentRef:
    """A stored measurement of an experiment. `mismatch`: the split of the users is not that of the weights."""

    version: int
    days: int
    mismatch: bool = False


@dataclass(frozen=True)
class EndExperiment:
    name: ExperimentName
    outcome: Literal["completed", "stopped"]
    reason: str


@dataclass(frozen=True)
class ExperimentStatus:
    """Answer of the `status` query."""

    stage: str
    measured: int = 0
    """Days."""
    next_at: datetime | None = None
    trouble: str = ""
    """What the newest measurement failed with."""


@dataclass(frozen=True)
class ExperimentOutcome:
    outcome: Literal["completed", "stopped"]
    days: int
    measurement: int | None


@dataclass(frozen=True)
class ShipInput:
    """Publish what a channel serves on another one, by way of a review."""

    experiment: ExperimentName
    from_channel: str
    channel: str
    gates: Gates


@dataclass(frozen=True)
class FindShipped:
    experiment: ExperimentName
    from_channel: str


@dataclass(frozen=True)
class Shipped:
    """What would be published: a table, the model it was made with, and what speaks for and against it."""

    table: int
    model: int | None
    rows: int
    kind: Literal["fine_tune", "rag"]
    evaluation: Evaluation
