"""Live experiments: users on two channels, their exposures and outcomes, and what is measured of them day by day."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import Days, Gates
from driftline.contracts.knobs.experiments import Experiment
from driftline.contracts.versions import Evaluation, RunIds

ExperimentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


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
    """Weights of control and treatment."""
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
