"""The sequence recommender: the requests of its steps, and the references that they return."""

from datetime import datetime

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import Clusters, Sequences, Source
from driftline.contracts.knobs.recommenders import Recommender
from driftline.contracts.versions import CatalogueRef, EmbeddingsRef, RunIds, Window


@dataclass(frozen=True)
class RecommenderInput:
    source: Source
    nominal: datetime | None = None
    """None: the schedule's nominal time."""
    cluster_set: int | None = None
    """None: the newest."""
    recommender: Recommender = Field(default_factory=Recommender)
    clusters: Clusters = Field(default_factory=Clusters)


@dataclass(frozen=True)
class ReadItemSequences:
    source: Source
    cluster_set: int
    assignment: int | None
    window: Window


@dataclass(frozen=True)
class ItemSequencesRef:
    """Stored sequences of items, and the items by cluster. `uri`: a folder of `items.parquet` (item, cluster: the index) and
    `steps.parquet` (user, cluster: the row, ts)."""

    uri: str
    hash: str
    users: int
    events: int
    items: int


@dataclass(frozen=True)
class TrainEncoder:
    sequences: ItemSequencesRef
    recommender: Recommender
    validation: Window
    """Trained on what is before it."""


@dataclass(frozen=True)
class EncoderRef:
    """A stored encoder of the sequence recommender. `uri`: a folder of `encoder.npz`, `vectors.npy` and `train.json`."""

    uri: str
    hash: str


@dataclass(frozen=True)
class TrainEncoderJob:
    """Trains the encoder of the sequence recommender. `sequences`: folder of an `ItemSequencesRef`. `work`: checkpoints. `out`:
    folder of an `EncoderRef`, made at once."""

    sequences: str
    recommender: Recommender
    validation: Window
    work: str
    out: str


@dataclass(frozen=True)
class PlaceItems:
    """Give every item of the catalogue its vector, measure the whole on the test days, and store it as a version."""

    source: Source
    cluster_set: int
    assignment: int | None
    sequences: ItemSequencesRef
    encoder: EncoderRef
    recommender: Recommender
    train: Window
    validation: Window
    test: Window
    nominal: datetime
    run: RunIds
    catalogue: CatalogueRef | None = None
    """None: there is none; then no item is withdrawn, and those that were not trained on have no vector."""
    embeddings: EmbeddingsRef | None = None


@dataclass(frozen=True)
class MeasurePolicy:
    """Measures ways to choose items, by the newest approved table and the newest recommender that have seen nothing of the
    period."""

    source: Source
    sequences: Sequences
    cluster_set: int
    period: Window
    run: RunIds
    top: int = 10
    """Items in a list."""


@dataclass(frozen=True)
class RecommenderRef:
    version: int
    cluster_set: int
    uri: str
    hash: str
    items: int
    new_items: int
    """Of them, those whose vector comes from their text."""
    popularity: float
    """Weight of the logarithm of popularity that the validation days chose to add to the score; large: popularity decides."""
