"""Items that came after their cluster set: versions of the assignment, and the centres that new items are compared with.

Ids and descriptions of a set never change, and neither does the cluster of an item. An assignment only adds items, and has those
of the assignments of its set before it, too (`db.clusters.items`).
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, func, insert, select

from driftline.contracts import AssignmentRef, BadInput
from driftline.db import clusters as db_clusters
from driftline.db.keys import content_key, lock
from driftline.db.load import copy_rows
from driftline.db.schema import assignment, assignment_item, cluster_centre

ADDED = pa.schema([("item", pa.string()), ("cluster", pa.int32()), ("similarity", pa.float32())])


def add_centres(
    conn: Connection, cluster_set: int, clusters: NDArray[np.int32], centres: NDArray[np.float32], model: str
) -> None:
    """Keep the centres of a set: of the `clusters`, float32 [k, d], by an embedding model. A set that has some keeps those."""
    lock(conn, f"assignment:{cluster_set}")
    if len(clusters) and model_of_centres(conn, cluster_set) is None:
        rows = zip(clusters.tolist(), centres.tolist(), strict=True)
        values = [{"cluster_set": cluster_set, "cluster": c, "centre": centre, "model": model} for c, centre in rows]
        conn.execute(insert(cluster_centre), values)


def centres(conn: Connection, cluster_set: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The clusters that have a centre, int32 [k] ascending, and the centres, float32 [k, d]; none: k = 0."""
    query = select(cluster_centre.c.cluster, cluster_centre.c.centre).where(cluster_centre.c.cluster_set == cluster_set)
    rows = conn.execute(query.order_by(cluster_centre.c.cluster)).all()
    return np.array([row.cluster for row in rows], np.int32), np.array([row.centre for row in rows], np.float32)


def model_of_centres(conn: Connection, cluster_set: int) -> str | None:
    """The embedding model of a set's centres; None where it has none yet."""
    query = select(cluster_centre.c.model).where(cluster_centre.c.cluster_set == cluster_set).limit(1)
    return conn.execute(query).scalar_one_or_none()


def model(conn: Connection, cluster_set: int) -> str | None:
    """The embedding model that a set is bound to: that of its centres, or that it was built with; None where it was imported.

    Raises:
        BadInput: there is no such set.
    """
    method = db_clusters.describe(conn, cluster_set).method
    built = method.get("built")
    return model_of_centres(conn, cluster_set) or (built["embedding_model"] if built else None)


def newest(conn: Connection, cluster_set: int) -> AssignmentRef:
    """The newest assignment of a set, with how many items all of them have added."""
    query = select(func.max(assignment.c.version), func.coalesce(func.sum(assignment.c["items"]), 0))
    version, items = conn.execute(query.where(assignment.c.cluster_set == cluster_set)).one()
    return AssignmentRef(cluster_set, version, int(items))


def add(conn: Connection, cluster_set: int, items: pa.Table, method: dict[str, Any]) -> AssignmentRef:
    """Add items to a set as its next assignment. Those that it has are left alone; without a new one nothing changes.

    Args:
        items: item, cluster int32, similarity float32; every item once.
        method: how their clusters were found; JSON.

    Returns:
        The newest assignment, and how many items were added now.

    Raises:
        BadInput: an item is put into a cluster that is not in the set.
    """
    lock(conn, f"assignment:{cluster_set}")
    before = newest(conn, cluster_set).version
    known = db_clusters.items(conn, cluster_set, before).select(["item"])
    new = items.select(ADDED.names).cast(ADDED).join(known, "item", join_type="left anti").sort_by("item")
    if not new.num_rows:
        return AssignmentRef(cluster_set, before, 0)
    stray = sorted(set(new["cluster"].unique().to_pylist()) - set(range(db_clusters.describe(conn, cluster_set).clusters)))
    if stray:
        raise BadInput(f"items are assigned to clusters that are not in the set: {stray[:5]}")
    key = content_key(cluster_set, before, new.select(["item", "cluster"]), method)
    row = {"key": key, "cluster_set": cluster_set, "items": new.num_rows, "method": method}
    version = conn.execute(insert(assignment).values(row).returning(assignment.c.version)).scalar_one()
    rows = pa.table(
        {
            "cluster_set": pa.array([cluster_set] * new.num_rows, pa.int64()),
            "item": new["item"],
            "cluster": new["cluster"],
            "assignment": pa.array([version] * new.num_rows, pa.int64()),
            "similarity": new["similarity"],
        }
    )
    copy_rows(conn, "assignment_item", rows, ["int8", "text", "int4", "int8", "float4"])
    return AssignmentRef(cluster_set, version, new.num_rows)


def added(conn: Connection, version: int) -> pa.Table:
    """The items that one assignment added: item, cluster, similarity; sorted by item.

    Raises:
        BadInput: there is no such assignment.
    """
    query = select(*(assignment_item.c[name] for name in ADDED.names)).where(assignment_item.c.assignment == version)
    rows = conn.execute(query).mappings().all()
    if not rows:
        raise BadInput(f"no assignment {version}: see `driftline clusters show`")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=ADDED).sort_by("item")
