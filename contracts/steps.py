"""Activities: one in, one out."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import (
    AnswersFrom,
    Clusters,
    Counting,
    EngineName,
    Gates,
    Generation,
    Measures,
    Retrieval,
    Samples,
    Sequences,
    Source,
    Training,
)
from driftline.contracts.reviews import MaybeReviewId
from driftline.contracts.versions import (
    AnsweredRef,
    CatalogueRef,
    EmbeddingsRef,
    MappingRef,
    ModelRef,
    PromptsRef,
    RunIds,
    SamplesRef,
    SuccessorsRef,
    ValidationRef,
    Window,
)


@dataclass(frozen=True)
class EmbedCatalogue:
    catalogue: CatalogueRef
    model: str
    cluster_set: int | None = None
    """Whose centres are of this model, if it is for new items."""


@dataclass(frozen=True)
class BuildClusterSet:
    catalogue: CatalogueRef
    embeddings: EmbeddingsRef
    clusters: Clusters


How = Literal["keywords", "llm", "as_is"]


@dataclass(frozen=True)
class DescribeClusterSet:
    """Write other descriptions of the clusters of a set, or measure those that it has (`as_is`)."""

    cluster_set: int
    catalogue: CatalogueRef
    embeddings: EmbeddingsRef
    clusters: Clusters
    how: How = "keywords"
    base_model: str = "smollm2"


@dataclass(frozen=True)
class FindNewItems:
    source: Source
    cluster_set: int
    model: str
    """What embeds them where the set has no centres yet and does not say what it was built with."""


@dataclass(frozen=True)
class AssignNewItems:
    cluster_set: int
    catalogue: CatalogueRef
    embeddings: EmbeddingsRef
    model: str


@dataclass(frozen=True)
class CountTriples:
    source: Source
    sequences: Sequences
    cluster_set: int
    window: Window
    counting: Counting = Field(default_factory=Counting)
    assignment: int | None = None
    """Of the cluster set; None: its own items only."""


@dataclass(frozen=True)
class FindModel:
    """The newest approved model whose nominal time is not after `nominal`; of one cluster set, or of any."""

    nominal: datetime
    cluster_set: int | None = None
    model: int | None = None
    """This one, approved or not."""


@dataclass(frozen=True)
class CurateSamples:
    counts: int
    samples: Samples
    retrieval: Retrieval
    """What the retrieved lines will look like."""


@dataclass(frozen=True)
class CurateValidation:
    counts: int
    """Of the validation window."""
    curated: CurateSamples
    """How the samples were curated that the training learns from."""


@dataclass(frozen=True)
class Train:
    samples: SamplesRef
    training: Training
    curated: CurateSamples
    """What the samples were curated from, and how."""
    run: RunIds
    engine: EngineName | None = None
    """What is to answer with the model."""
    validation: ValidationRef | None = None
    """None: it trains to its last step."""


@dataclass(frozen=True)
class RenderPrompts:
    cluster_set: int
    retrieval: Retrieval | None = None
    counts: int | None = None
    previous_counts: int | None = None
    """`trend` only: the window before."""


@dataclass(frozen=True)
class Sampling:
    """Draw each answer at random instead of taking the likeliest: for measurements, never for a table."""

    temperature: Annotated[float, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class GenerateMapping:
    prompts: PromptsRef
    model: ModelRef
    generation: Generation
    sampling: Sampling | None = None
    """None: greedy."""


Fitting = Literal[1, 2, 3]
"""How strengths of counts and weights of a blend are chosen.

1: the likeliest. 2: strengths as far above them as held-out triples do not tell. 3, of a blend: scores are smoothed, and α is as
near to 0 as its interval goes.
"""


@dataclass(frozen=True)
class AnswerPairs:
    """Answer every pair by the counting model, or by a blend of it and the LLM's scores.

    What is fitted is fitted on days that neither has seen; then the counts of all days before the test window answer.
    """

    answers: Literal["blend", "counts"]
    counts: int
    """Of all days before the test window."""
    known: int
    """Of those of them that are fitted with: the LLM has seen no others."""
    validation: int
    """Of the days that follow, which fit."""
    mapping: MappingRef | None = None
    """Blend: the LLM's answers, with scores."""
    model: int | None = None
    """Blend: which may have learned from no day that fits."""
    fitting: Fitting = 1
    """What a run has begun with stays; those from before there were two have 1."""


Kind = Literal["fine_tune", "rag"]


@dataclass(frozen=True)
class StoreTable:
    """Stores answers to every ordered pair as a transition table. `model`, `prompts`, `mapping` and `generation` are None where
    counts answer, `answered` and `fitted` where an LLM does."""

    kind: Kind
    nominal: datetime
    counts: int
    model: int | None
    prompts: PromptsRef | None
    mapping: MappingRef | None
    generation: Generation | None
    run: RunIds
    retrieval: Retrieval | None = None
    answered: AnsweredRef | None = None
    fitted: AnswerPairs | None = None

    @property
    def answers(self) -> AnswersFrom:
        return self.fitted.answers if self.fitted else "llm"


@dataclass(frozen=True)
class Evaluate:
    table: int
    test_counts: int
    gates: Gates
    quality: int | None = None
    """The measurement to judge by. None: the run is older than that; the newest of this table and test window."""


@dataclass(frozen=True)
class Publish:
    table: int
    channel: str
    run: RunIds
    review_id: MaybeReviewId = None
    """The review whose approval permits this, if one was opened."""


@dataclass(frozen=True)
class Published:
    """What publishing came to. `superseded` when the channel already points at a table of a later nominal time; `revoked` when a
    person's newest verdict is against the table."""

    outcome: Literal["published", "superseded", "revoked"]
    channel: str
    table: int


# --- measurements --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListSuccessors:
    source: Source
    sequences: Sequences
    cluster_set: int
    window: Window
    top_k: int
    assignment: int | None = None


@dataclass(frozen=True)
class MeasureDrift:
    cluster_set: int
    lists: tuple[SuccessorsRef, ...]
    """Of consecutive windows, oldest first."""
    about: ListSuccessors
    """How the newest of them was made."""
    measures: Measures
    run: RunIds


@dataclass(frozen=True)
class MeasureStaleness:
    cluster_set: int
    retrieved: SuccessorsRef
    later: tuple[SuccessorsRef, ...]
    """In the order of `measures.stale_days`; those that the log does not reach are left out at the end."""
    about: ListSuccessors
    measures: Measures
    run: RunIds


@dataclass(frozen=True)
class Arm:
    """A mapping whose hit rate is measured, or one that is renewed along the way.

    `llm` serves `mappings`; `popular`, `frequent` and `counts` (the counting model) are the baselines of `counts`; version i
    serves from `since[i]` on.
    """

    name: str
    kind: Literal["llm", "popular", "frequent", "counts"]
    since: tuple[datetime, ...]
    mappings: tuple[MappingRef, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class MeasureHits:
    kind: Literal["refresh", "retrieval"]
    model: ModelRef
    source: Source
    sequences: Sequences
    period: Window
    """Held out: never trained on, and retrieved from only before the day that is measured."""
    history: Window
    """Retrieved from when the period begins. What is new to a user is judged by all of the log before."""
    arms: tuple[Arm, ...]
    differences: tuple[tuple[str, str], ...]
    """Names of the arms to compare."""
    retrieval: Retrieval
    every: timedelta
    run: RunIds
    missing: tuple[str, ...] = ()
    """What could not be compared, and why."""
    assignment: int | None = None


@dataclass(frozen=True)
class MeasureAnswers:
    model: ModelRef
    counts: int
    """Retrieved from."""
    prompts: PromptsRef
    """With the retrieved line."""
    greedy_with: MappingRef
    greedy_without: MappingRef
    sampled_with: MappingRef
    sampled_without: tuple[MappingRef, MappingRef]
    temperature: float
    retrieval: Retrieval
    run: RunIds


@dataclass(frozen=True)
class MeasureQuality:
    table: int
    test_counts: int
    source: Source
    sequences: Sequences
    window: Window
    test_window: Window
    run: RunIds
    confidence: float = 0.95
    """Of the gates."""
    counting: Counting = Counting()
    """Where the log is read."""


@dataclass(frozen=True)
class WriteReport:
    table: int
    gates: Gates
