"""Activities: one in, one out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from contracts.knobs import Clusters, Gates, Generation, Retrieval, Samples, Sequences, Source, Training
from contracts.versions import (
    CatalogueRef,
    EmbeddingsRef,
    Evaluation,
    MappingRef,
    ModelRef,
    PromptsRef,
    RunIds,
    SamplesRef,
    Window,
)


@dataclass(frozen=True)
class EmbedCatalogue:
    catalogue: CatalogueRef
    model: str


@dataclass(frozen=True)
class BuildClusterSet:
    catalogue: CatalogueRef
    embeddings: EmbeddingsRef
    clusters: Clusters


@dataclass(frozen=True)
class CountTriples:
    source: Source
    sequences: Sequences
    cluster_set: int
    window: Window


@dataclass(frozen=True)
class FindModel:
    """The newest approved model whose nominal time is not after `nominal`; of one cluster set, or of any."""

    nominal: datetime
    cluster_set: int | None = None


@dataclass(frozen=True)
class CurateSamples:
    counts: int
    samples: Samples
    retrieval: Retrieval
    """What the retrieved lines will look like."""


@dataclass(frozen=True)
class Train:
    samples: SamplesRef
    training: Training
    curated: CurateSamples
    """What the samples were curated from, and how."""
    run: RunIds


@dataclass(frozen=True)
class RenderPrompts:
    cluster_set: int
    retrieval: Retrieval | None = None
    counts: int | None = None
    previous_counts: int | None = None
    """`trend` only: the window before."""


@dataclass(frozen=True)
class GenerateMapping:
    prompts: PromptsRef
    model: ModelRef
    generation: Generation


Kind = Literal["fine_tune", "rag"]


@dataclass(frozen=True)
class StoreTable:
    kind: Kind
    nominal: datetime
    counts: int
    model: int
    prompts: PromptsRef
    mapping: MappingRef
    generation: Generation
    run: RunIds
    retrieval: Retrieval | None = None


@dataclass(frozen=True)
class Evaluate:
    table: int
    test_counts: int
    gates: Gates


@dataclass(frozen=True)
class OpenGate:
    gate_id: str
    table: int
    evaluation: Evaluation
    run: RunIds
    expires_at: datetime


@dataclass(frozen=True)
class ExpireGate:
    """A gate that ends without a person's verdict."""

    gate_id: str


@dataclass(frozen=True)
class Publish:
    table: int
    channel: str
    run: RunIds
    gate_id: str | None = None
    """The gate whose approving review permits this, if a gate was opened."""


@dataclass(frozen=True)
class Published:
    """`superseded` when the channel already points at a table of a later nominal time."""

    outcome: Literal["published", "superseded"]
    channel: str
    table: int


Decision = Literal["approve", "rerun", "abort"]


@dataclass(frozen=True)
class Verdict:
    """A person's decision on the candidate that `gate_id` names."""

    gate_id: str
    decision: Decision
    reviewer: Annotated[str, Field(min_length=1)]
    reason: str = ""


@dataclass(frozen=True)
class VerdictReply:
    accepted: bool
    message: str
