"""Names of stored versions, and small facts about them."""

from datetime import datetime

from pydantic import Field
from pydantic.dataclasses import dataclass


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
class ClusterSetRef:
    version: int
    clusters: int
    items: int
