"""Model versions: base model, LoRA adapter and everything needed to make it again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from driftline.contracts import BadInput, ModelRef, RunIds
from driftline.db.keys import content_key, lock
from driftline.db.schema import counts, model


@dataclass(frozen=True)
class Model:
    version: int
    cluster_set: int
    counts_version: int
    base_model: str
    adapter_uri: str
    adapter_hash: str
    samples_hash: str
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    workflow_id: str
    run_id: str
    created_at: datetime
    validation_counts: int | None


def add(
    conn: Connection,
    *,
    cluster_set: int,
    counts: int,
    base_model: str,
    adapter_uri: str,
    adapter_hash: str,
    samples_hash: str,
    recipe: dict[str, Any],
    metrics: dict[str, Any],
    run: RunIds,
    validation_counts: int | None = None,
) -> ModelRef:
    """Store a model version, or find the one that was made of the same things (it then keeps its first run and metrics).

    Args:
        recipe: every knob that shaped the adapter, and the hash of what it was validated on.
        validation_counts: of the window that chose the checkpoint.
    """
    key = content_key(cluster_set, counts, base_model, adapter_hash, samples_hash, recipe)
    lock(conn, f"model:{key}")
    found = conn.execute(select(model.c.version).where(model.c.key == key)).scalar_one_or_none()
    if found is not None:
        return get(conn, found)
    row = {
        "key": key,
        "cluster_set": cluster_set,
        "counts_version": counts,
        "base_model": base_model,
        "adapter_uri": adapter_uri,
        "adapter_hash": adapter_hash,
        "samples_hash": samples_hash,
        "recipe": recipe,
        "metrics": metrics,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "validation_counts": validation_counts,
    }
    return get(conn, conn.execute(insert(model).values(row).returning(model.c.version)).scalar_one())


def find(conn: Connection, counts: int, samples_hash: str, recipe: dict[str, Any]) -> ModelRef | None:
    """The model that these samples and this recipe made before."""
    same = (model.c.counts_version == counts) & (model.c.samples_hash == samples_hash) & (model.c.recipe == recipe)
    version = conn.execute(select(func.min(model.c.version)).where(same)).scalar_one()
    return None if version is None else get(conn, version)


def describe(conn: Connection, version: int) -> Model:
    """Reads the record of one model. Raises BadInput: there is no such version."""
    row = conn.execute(select(model).where(model.c.version == version)).mappings().one_or_none()
    if row is None:
        raise BadInput(f"no model version {version}: run `driftline run fine-tune`")
    return Model(**{name: value for name, value in row.items() if name != "key"})


def get(conn: Connection, version: int) -> ModelRef:
    """Reads the reference of one model. Raises BadInput: there is no such version."""
    record = describe(conn, version)
    return ModelRef(record.version, record.cluster_set, record.base_model, record.adapter_uri, record.adapter_hash)


def newest_approved(conn: Connection, until: datetime | None = None, cluster_set: int | None = None) -> ModelRef | None:
    """The model that a RAG refresh uses (design §3.12): of the newest approved fine-tune table by nominal time.

    Publication is not asked for: a table can be superseded and its model still be good. With `until`, only tables of that
    nominal time or before: a backfilled refresh finds the model that the live run would have found, unless that one was
    approved only after the live run.
    """
    query = """
        SELECT model_version FROM table_overview
        WHERE kind = 'fine_tune' AND model_version IS NOT NULL AND complete AND approved
            AND cluster_set = coalesce(:cluster_set, cluster_set) AND nominal <= coalesce(:until, 'infinity'::timestamptz)
        ORDER BY nominal DESC, version DESC LIMIT 1
    """
    version = conn.execute(text(query), {"cluster_set": cluster_set, "until": until}).scalar_one_or_none()
    return None if version is None else get(conn, version)


def newest_trained_before(conn: Connection, until: datetime, cluster_set: int | None = None) -> ModelRef | None:
    """The approved model that has used the newest days before `until`: whatever comes later is held out from it."""
    query = """
        SELECT o.model_version FROM table_overview o JOIN model m ON m.version = o.model_version
        JOIN counts c ON c.version = coalesce(m.validation_counts, m.counts_version)
        WHERE o.kind = 'fine_tune' AND o.complete AND o.approved AND o.cluster_set = coalesce(:cluster_set, o.cluster_set)
            AND c.window_end <= :until
        ORDER BY c.window_end DESC, o.version DESC LIMIT 1
    """
    version = conn.execute(text(query), {"cluster_set": cluster_set, "until": until}).scalar_one_or_none()
    return None if version is None else get(conn, version)


def trained_until(conn: Connection, version: int) -> datetime:
    """End of the days that a model was trained or validated on.

    Raises:
        BadInput: there is no such version.
    """
    record = describe(conn, version)
    query = select(counts.c.window_end).where(counts.c.version == (record.validation_counts or record.counts_version))
    ended: datetime = conn.execute(query).scalar_one()
    return ended
