"""Versions of the sequence recommender: weights, item embeddings and everything needed to make them again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, insert, select

from driftline.contracts import BadInput, EncoderRef, PlaceItems, RecommenderRef
from driftline.db.keys import content_key, lock
from driftline.db.schema import recommender
from driftline.interests.metrics.ranking import RankingQuality

HOW = "run `driftline run recommender`"
FORMAT = 1
"""Of `measured`; rows of before it had a number are the same. A field that is added to the result needs a default."""

_measured = TypeAdapter(Mapping[str, RankingQuality])


@dataclass(frozen=True)
class RecommenderVersion:
    version: int
    cluster_set: int
    assignment: int | None
    nominal: datetime
    window_start: datetime
    window_end: datetime
    uri: str
    hash: str
    sequences_hash: str
    encoder_uri: str
    encoder_hash: str
    recipe: dict[str, Any]
    items: int
    new_items: int
    popularity: float
    metrics: dict[str, Any]
    measured: Mapping[str, RankingQuality]
    """On its test days: within the interest that users turned to, and among all items."""
    workflow_id: str
    run_id: str
    created_at: datetime

    @property
    def ref(self) -> RecommenderRef:
        return RecommenderRef(self.version, self.cluster_set, self.uri, self.hash, self.items, self.new_items, self.popularity)


def add(
    conn: Connection,
    request: PlaceItems,
    *,
    uri: str,
    digest: str,
    recipe: dict[str, Any],
    items: int,
    new_items: int,
    popularity: float,
    metrics: dict[str, Any],
    measured: Mapping[str, RankingQuality],
) -> RecommenderRef:
    """Store a version, or find the one that was made of the same things (it then keeps its first run and metrics).

    Args:
        digest: of weights and embeddings.
        recipe: every knob that shaped them, and the hashes of catalogue and texts' embeddings.
    """
    start, end = request.train.start, request.validation.end
    key = content_key(request.cluster_set, request.assignment, request.sequences.hash, request.encoder.hash, digest, recipe, end)
    lock(conn, f"recommender:{key}")
    found = conn.execute(select(recommender.c.version).where(recommender.c.key == key)).scalar_one_or_none()
    if found is not None:
        return get(conn, found).ref
    row = {
        "key": key,
        "cluster_set": request.cluster_set,
        "assignment": request.assignment,
        "nominal": request.nominal,
        "window_start": start,
        "window_end": end,
        "uri": uri,
        "hash": digest,
        "sequences_hash": request.sequences.hash,
        "encoder_uri": request.encoder.uri,
        "encoder_hash": request.encoder.hash,
        "recipe": recipe,
        "items": items,
        "new_items": new_items,
        "popularity": popularity,
        "metrics": metrics,
        "measured": {"format": FORMAT, **_measured.dump_python(measured, mode="json")},
        "workflow_id": request.run.workflow_id,
        "run_id": request.run.run_id,
    }
    return get(conn, conn.execute(insert(recommender).values(row).returning(recommender.c.version)).scalar_one()).ref


def get(conn: Connection, version: int) -> RecommenderVersion:
    """One version.

    Raises:
        BadInput: there is none.
        RuntimeError: it was measured by a newer release.
    """
    row = conn.execute(select(recommender).where(recommender.c.version == version)).mappings().one_or_none()
    if row is None:
        raise BadInput(f"no recommender {version}: {HOW}")
    stored = dict(row["measured"])
    if (number := stored.pop("format", 1)) > FORMAT:
        raise RuntimeError(f"what was measured of recommender {version} has format {number}, this release reads up to {FORMAT}")
    columns = {name: value for name, value in row.items() if name != "key"}
    return RecommenderVersion(**columns | {"measured": _measured.validate_python(stored)})


def newest(conn: Connection, cluster_set: int, until: datetime | None = None) -> RecommenderVersion | None:
    """The newest recommender of a cluster set: by what it has seen of the log, then by version.

    Args:
        until: only one that has seen nothing from then on.
    """
    query = select(recommender.c.version).where(recommender.c.cluster_set == cluster_set)
    if until is not None:
        query = query.where(recommender.c.window_end <= until)
    order = (recommender.c.window_end.desc(), recommender.c.version.desc())
    version = conn.execute(query.order_by(*order).limit(1)).scalar_one_or_none()
    return None if version is None else get(conn, version)


def encoder(conn: Connection, sequences_hash: str, knobs: dict[str, Any], window_end: datetime) -> EncoderRef | None:
    """What was trained on these sequences up to `window_end` under these knobs before."""
    same = (
        (recommender.c.sequences_hash == sequences_hash)
        & (recommender.c.recipe["recommender"] == knobs)
        & (recommender.c.window_end == window_end)
    )
    query = select(recommender.c.encoder_uri, recommender.c.encoder_hash).where(same).order_by(recommender.c.version).limit(1)
    row = conn.execute(query).one_or_none()
    return None if row is None else EncoderRef(row.encoder_uri, row.encoder_hash)
