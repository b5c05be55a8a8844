"""Cluster sets: the clusters and which item belongs to which."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, insert, select

from driftline.contracts import BadInput, ClusterSetRef
from driftline.db.connection import cursor
from driftline.db.keys import content_key, lock
from driftline.db.known_items import KNOWN_ITEMS
from driftline.db.load import copy_rows
from driftline.db.schema import cluster, cluster_set

CLUSTERS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("name", pa.string()),
        ("description", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("traffic", pa.int64()),
    ]
)
ITEMS = pa.schema([("item", pa.string()), ("cluster", pa.int32())])

PACKED = f"""
    SELECT cluster, string_agg(int4send(octet_length(convert_to(item, 'UTF8'))), ''), string_agg(convert_to(item, 'UTF8'), '')
    FROM ({KNOWN_ITEMS}) AS known GROUP BY cluster
"""
"""A row of each cluster: no item becomes a Python object."""


@dataclass(frozen=True)
class ClusterSet:
    version: int
    clusters: int
    items: int
    method: dict[str, Any]
    created_at: datetime
    key: str = ""
    """What makes two sets the same, in any database."""


def add(conn: Connection, clusters: pa.Table, items: pa.Table, method: dict[str, Any], key: str | None = None) -> ClusterSetRef:
    """Store a cluster set, or find the one that has the same key.

    Args:
        clusters: cluster int32, name, description, keywords list<str>, traffic int64; ids 0..|C|-1.
        items: item, cluster int32; every item once.
        method: how the set was made; JSON.
        key: what makes two sets the same; without it, their content and method, but for the machine that embedded the texts.

    Raises:
        BadInput: the ids have gaps, or an item names a cluster that is not there.
    """
    clusters, items = _in_order(clusters, items)
    size = clusters.num_rows
    if clusters["cluster"].to_pylist() != list(range(size)):
        raise BadInput(f"cluster ids must be 0..{size - 1}, each once")
    stray = sorted(set(items["cluster"].unique().to_pylist()) - set(range(size)))
    if stray:
        raise BadInput(f"items are assigned to clusters that are not in the set: {stray[:5]}")
    key = content_key(key) if key else _key(clusters, items, method)
    lock(conn, f"cluster_set:{key}")
    found = conn.execute(select(cluster_set).where(cluster_set.c.key == key)).one_or_none()
    if found is not None:
        return ClusterSetRef(found.version, found.clusters, found.items)
    row = {"key": key, "method": method, "clusters": size, "items": items.num_rows}
    version = conn.execute(insert(cluster_set).values(row).returning(cluster_set.c.version)).scalar_one()
    _copy(conn, "cluster", version, clusters, ["int4", "text", "text", "text[]", "int8"])
    _copy(conn, "cluster_item", version, items, ["text", "int4"])
    return ClusterSetRef(version, size, items.num_rows)


def key_of(clusters: pa.Table, items: pa.Table, method: dict[str, Any]) -> str:
    """The content key of a set: its clusters, its items and how it was made, but for the machine that embedded the texts."""
    return _key(*_in_order(clusters, items), method)


def _in_order(clusters: pa.Table, items: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Sorts and casts both tables as they are stored."""
    clusters = clusters.select(CLUSTERS.names).cast(CLUSTERS).sort_by("cluster")
    return clusters, items.select(ITEMS.names).cast(ITEMS).sort_by("item")


def _key(clusters: pa.Table, items: pa.Table, method: dict[str, Any]) -> str:
    return content_key(clusters, items, {**method, "embedded": None} if "embedded" in method else method)


def describing(about: ClusterSet, by: str) -> dict[str, Any]:
    """The method of a set that has the clusters of another under descriptions that `by` wrote."""
    return {**about.method, "describes": about.key, "described_by": by}


def newest(conn: Connection) -> int | None:
    """The newest cluster set; None before the first."""
    return conn.execute(select(cluster_set.c.version).order_by(cluster_set.c.version.desc()).limit(1)).scalar_one_or_none()


def get(conn: Connection, version: int) -> pa.Table:
    """The clusters of a set, sorted by id.

    Raises:
        BadInput: there is no such set.
    """
    query = (
        select(*(cluster.c[name] for name in CLUSTERS.names)).where(cluster.c.cluster_set == version).order_by(cluster.c.cluster)
    )
    rows = conn.execute(query).mappings().all()
    if not rows:
        raise BadInput(f"no cluster set {version}: see `driftline clusters show`")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=CLUSTERS)


def items(conn: Connection, version: int, assignment: int | None = None) -> pa.Table:
    """Which item is in which cluster: item, cluster; every item once, sorted.

    Args:
        assignment: with the items that this version and those before it added to the set; None: its own only.
    """
    with cursor(conn) as reading:
        packed = reading.execute(PACKED, {"cluster_set": version, "assignment": assignment or 0}, binary=True).fetchall()
    placed = [(items := _strings(*texts), np.full(len(items), id, np.int32)) for id, *texts in packed]
    return pa.Table.from_batches([pa.record_batch(list(of), schema=ITEMS) for of in placed], ITEMS).sort_by("item")


def _strings(lengths: bytes, text: bytes) -> pa.Array:
    """Strings of so many bytes (big-endian int32), one after the other in UTF-8."""
    ends = np.frombuffer(lengths, ">i4").cumsum(dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text))


def describe(conn: Connection, version: int) -> ClusterSet:
    """Reads the record of one set. Raises BadInput: there is no such set."""
    row = conn.execute(select(cluster_set).where(cluster_set.c.version == version)).one_or_none()
    if row is None:
        raise BadInput(f"no cluster set {version}: see `driftline clusters show`")
    return ClusterSet(row.version, row.clusters, row.items, row.method, row.created_at, row.key)


def _copy(conn: Connection, table: str, version: int, rows: pa.Table, types: list[str]) -> None:
    versions = pa.array([version] * rows.num_rows, pa.int64())
    copy_rows(conn, table, rows.add_column(0, "cluster_set", versions), ["int8", *types])
