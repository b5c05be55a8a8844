"""Workflows: one in, one out."""

from datetime import datetime
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import (
    AnswersFrom,
    Clusters,
    Counting,
    Gates,
    Generation,
    Measures,
    Retrieval,
    Samples,
    Sequences,
    Source,
    Training,
    Windows,
)
from driftline.contracts.steps import How
from driftline.contracts.versions import Evaluation, MeasurementRef, Window


@dataclass(frozen=True)
class FineTuneInput:
    source: Source
    windows: Windows
    sequences: Sequences = Field(default_factory=Sequences)
    samples: Samples = Field(default_factory=Samples)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    training: Training = Field(default_factory=Training)
    generation: Generation = Field(default_factory=Generation)
    gates: Gates = Field(default_factory=Gates)
    channel: str = "default"
    nominal: datetime | None = None
    """None: the schedule's nominal time."""
    cluster_set: int | None = None
    """None: the newest."""
    counting: Counting = Field(default_factory=Counting)
    answers: AnswersFrom = "llm"
    """`counts` trains nothing."""
    clusters: Clusters = Field(default_factory=Clusters)
    """Whether items are assigned first."""


@dataclass(frozen=True)
class RagRefreshInput:
    source: Source
    windows: Windows
    sequences: Sequences = Field(default_factory=Sequences)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    generation: Generation = Field(default_factory=Generation)
    gates: Gates = Field(default_factory=Gates)
    channel: str = "default"
    nominal: datetime | None = None
    cluster_set: int | None = None
    """None: that of the newest approved model, so that a new cluster set waits for its first fine-tune; if `counts` answer, the
    newest."""
    counting: Counting = Field(default_factory=Counting)
    answers: AnswersFrom = "llm"
    clusters: Clusters = Field(default_factory=Clusters)


@dataclass(frozen=True)
class BuildClustersInput:
    source: Source
    clusters: Clusters = Field(default_factory=Clusters)


@dataclass(frozen=True)
class AssignItemsInput:
    source: Source
    cluster_set: int | None = None
    """None: the newest."""
    clusters: Clusters = Field(default_factory=Clusters)


@dataclass(frozen=True)
class DescribeClustersInput:
    source: Source
    cluster_set: int
    clusters: Clusters = Field(default_factory=Clusters)
    how: How = "keywords"
    base_model: str = "smollm2"
    """`llm` only."""


@dataclass(frozen=True)
class MeasurementInput:
    """What every measurement of `driftline evaluate` is started with; each reads the fields that it needs."""

    source: Source
    windows: Windows
    """Of a RAG refresh: how many days of log a retrieval reads."""
    period: Window
    """Held-out days to replay. Drift is measured up to its end."""
    log_start: datetime
    """Day of the log's first event: no window begins before it."""
    sequences: Sequences = Field(default_factory=Sequences)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    generation: Generation = Field(default_factory=Generation)
    measures: Measures = Field(default_factory=Measures)
    cluster_set: int | None = None
    """None: the newest; where an LLM is asked, that of the model."""
    model: int | None = None
    """None: the newest approved one that has learned from nothing in the period."""
    counting: Counting = Field(default_factory=Counting)


@dataclass(frozen=True)
class MeasurementOutcome:
    measurements: tuple[MeasurementRef, ...]
    model: int | None = None


Outcome = Literal["published", "superseded", "revoked", "aborted", "expired"]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. A rejected candidate is an outcome, not a failure."""

    outcome: Outcome
    table: int
    model: int | None
    """None: a table of counts asks none."""
    attempts: int


@dataclass(frozen=True)
class RunStatus:
    """Answer of the `status` query."""

    stage: str
    attempt: int
    nominal: datetime | None = None
    review_id: str | None = None
    table: int | None = None
    evaluation: Evaluation | None = None
    expires_at: datetime | None = None
    ignored_verdicts: tuple[str, ...] = ()
    """Why each stale, foreign, duplicate or malformed verdict changed nothing: the newest twenty, oldest first."""
    gate_id: str | None = None
    """`review_id` under its former name."""
