"""Names of stored versions, and small facts about them."""

from datetime import datetime
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A half-open span of the log, `[start, end)`, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Progress:
    """Progress of a long step: what a child process prints, an activity heartbeats and the terminal draws."""

    stage: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class RunIds:
    """Which workflow run made a version."""

    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class CountsRef:
    version: int
    window: Window
    events: int
    users: int
    triples: int
    """Occurrences: the sum of all counts."""
    distinct_triples: int


@dataclass(frozen=True)
class SamplesRef:
    uri: str
    hash: str
    samples: int
    labels: int


@dataclass(frozen=True)
class ValidationRef:
    """A training's validation set. `uri`: a folder of `samples.parquet`, `pairs.parquet` and `labels.parquet`."""

    uri: str
    hash: str
    counts: int
    """Of the validation window."""
    samples: int
    pairs: int


@dataclass(frozen=True)
class PromptsRef:
    """One rendered prompt for every ordered pair; `hash` covers template, descriptions and retrieved lines."""

    uri: str
    hash: str
    pairs: int
    unseen: int = 0
    """RAG: pairs never seen in the window, whose prompt has no retrieved line."""


@dataclass(frozen=True)
class ModelRef:
    version: int
    cluster_set: int
    base_model: str
    adapter_uri: str
    adapter_hash: str


@dataclass(frozen=True)
class Cost:
    """Cost of a training or of bulk inference, summed over all attempts of its child process."""

    tokens: int
    """Training: tokens of prompts and labels, summed over all steps. Inference: tokens forwarded; a shared prefix counts once."""
    cpu_seconds: float
    gpu_seconds: float
    """Wall seconds in which a GPU was held; 0 on the CPU."""
    wall_seconds: float
    asked: int = 0
    """Pairs that the LLM answered."""
    reused: int = 0
    """Pairs whose prompt it had answered before."""


@dataclass(frozen=True)
class Computed:
    """Engine, precision, device and library versions of a step, as resolved there. Where two differ, answers may, too."""

    engine: str
    """`trie` | `vllm` | `sentence-transformers` | `peft`."""
    precision: Literal["float32", "bfloat16"]
    device: str
    """`cpu` and its widest vectors, or the name of the GPU."""
    torch: str
    transformers: str
    vllm: str | None = None


@dataclass(frozen=True)
class MappingRef:
    uri: str
    hash: str
    rows: int
    exact: int
    cost: Cost | None = None
    computed: Computed | None = None
    """None: not on record, of a mapping made before it was kept."""
    likeliest: int | None = None
    """Pairs whose greedy answer is also the one of the highest log-probability; None: no scores were kept."""


@dataclass(frozen=True)
class Fitted:
    """A number that a validation window has chosen, with its 95 % interval if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AnsweredRef:
    """Answers to every ordered pair that counts had a say in. `uri`: a folder of `answers.parquet`.

    `weights`: of a blend `llm` (α), `popularity` (β), `backoff` (γ) and `strength` (m); of counts `strength`; of both `single`,
    the strength of popularity beside the successors of one cluster (`interests.blend`, `interests.counting_model`).
    """

    uri: str
    hash: str
    rows: int
    weights: dict[str, Fitted]


@dataclass(frozen=True)
class SuccessorsRef:
    """The top successors of every pair in one window, of all its users and of two random halves of them."""

    uri: str
    hash: str
    window: Window
    users: int
    triples: int
    """Occurrences."""


MeasurementKind = Literal["drift", "staleness", "refresh", "answers", "retrieval", "quality", "names", "policy"]


@dataclass(frozen=True)
class MeasurementRef:
    """A stored measurement; `missing` says what there was not enough data for."""

    version: int
    kind: MeasurementKind
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportRef:
    version: int
    table: int


@dataclass(frozen=True)
class TableRef:
    version: int
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """What the gates judge a candidate by; shares in [0, 1], `None` where the test window has no triple."""

    exact_match_rate: float | None
    """None: no LLM was asked."""
    recall: float | None
    recall_low: float | None
    """Lower end of the interval of `recall` over users, at `gates.confidence`. Before `measurement` was kept: the one-sided
    Clopper–Pearson bound over triples."""
    recall_chance: float
    recall_popular: float | None
    recall_frequent: float | None
    test_triples: int
    coverage: int
    """Distinct clusters that the mapping ever answers."""
    failed_gates: tuple[str, ...] = ()
    """Names of failed gates, each a key of `reasons`."""
    reasons: dict[str, str] = Field(default_factory=dict)
    review_required: bool = False
    """A person has to decide, also where every gate passed."""
    unknown_share: float | None = None
    """Of the positive events, those of items that no cluster has: the larger share of the table's own and the test window."""
    test_users: int | None = None
    """Users with a triple in the test window."""
    measurement: int | None = None
    """What it was judged by; None: judged before there was one."""


@dataclass(frozen=True)
class CatalogueRef:
    """A stored catalogue. `uri`: a folder of `items.parquet` (item, text, traffic) and `texts.parquet` (each distinct text,
    traffic)."""

    uri: str
    hash: str
    items: int
    texts: int


@dataclass(frozen=True)
class EmbeddingsRef:
    """Stored embeddings of a catalogue's texts. `uri`: a folder of `embeddings.npy`, row by row the texts of the catalogue."""

    uri: str
    hash: str
    computed: Computed | None = None


@dataclass(frozen=True)
class ClusterSetRef:
    version: int
    clusters: int
    items: int
    assignment: int | None = None
    """Its newest assignment; None: no item was added to it since it was made."""


@dataclass(frozen=True)
class AssignmentRef:
    """The newest assignment of a cluster set; `version` is None where there is none, `items` is how many a run has added."""

    cluster_set: int
    version: int | None
    items: int


@dataclass(frozen=True)
class NewItems:
    """The texts to embed before items new to a cluster set are assigned."""

    newest: AssignmentRef
    """So far."""
    model: str
    """The embedding model of the set's centres."""
    catalogue: CatalogueRef | None = None
    """None: no item is new."""
