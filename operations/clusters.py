"""Cluster sets: build one, bring one along, look at one."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from driftline.contracts import AssignItemsInput, AssignmentRef, BadInput, BuildClustersInput, ClusterSetRef
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.db.clusters import ClusterSet
from driftline.interests.imported import imported_table
from driftline.operations.context import Context
from driftline.sources.profile import traffic
from driftline.sources.table import read_table
from driftline.workflows import policies


async def build(context: Context, workflow_id: str = "build-clusters") -> WorkflowHandle[Any, ClusterSetRef]:
    """Start the build of a set from the catalogue's texts. One of this id that is under way is joined."""
    context.allow()
    client = await context.temporal()
    return await client.start_workflow(
        "BuildClusters",
        BuildClustersInput(context.settings.source, context.settings.clusters),
        id=workflow_id,
        task_queue=policies.WORKFLOWS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        result_type=ClusterSetRef,
    )


async def assign(context: Context, version: int | None = None) -> WorkflowHandle[Any, AssignmentRef]:
    """Start putting the catalogue's new items into the clusters of a set. A run for the same set that is under way is joined.

    Args:
        version: of the set; None: the newest.

    Raises:
        BadInput: there is no such set, or no catalogue.
    """
    about, _ = get(context, version)
    if not context.settings.source.items.strip():
        raise BadInput("source.items is not set: the texts of an item catalogue say which interest an item belongs to")
    context.allow()
    client = await context.temporal()
    return await client.start_workflow(
        "AssignItems",
        AssignItemsInput(context.settings.source, about.version, context.settings.clusters),
        id=f"assign-items-{about.version}",
        task_queue=policies.WORKFLOWS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        result_type=AssignmentRef,
    )


def newest_assignment(context: Context, cluster_set: int) -> AssignmentRef:
    """The newest assignment of a set, with how many items all of them have added."""
    with context.engine.connect() as connection:
        return db_assignments.newest(connection, cluster_set)


def added(context: Context, assignment: int) -> pa.Table:
    """How many items an assignment added to each cluster: cluster, items, similarity (their mean); sorted by cluster.

    Raises:
        BadInput: there is no such assignment.
    """
    with context.engine.connect() as connection:
        items = db_assignments.added(connection, assignment)
    counted = items.group_by("cluster").aggregate([("item", "count"), ("similarity", "mean")]).sort_by("cluster")
    return counted.rename_columns(["cluster", "items", "similarity"])


@dataclass(frozen=True)
class Imported:
    """
    Attributes:
        items: how many of the log's `logged` items have an interest.
        traffic: their share of the log's events.
    """

    version: int
    items: int
    logged: int
    traffic: float


def import_(context: Context, path: str, item: str, name: str) -> Imported:
    """Store a set that says item by item which interest it belongs to.

    Args:
        path: Parquet or CSV with a row per item.
        item, name: its columns of the item's id and of the interest's name.

    Raises:
        ValueError: no item is in the log, or a row is not usable.
    """
    source = context.settings.source
    assigned = read_table(path, {"item": item, "name": name}, source.setup)
    clusters, items = imported_table(assigned, logged := traffic(source))
    known = logged.filter(pc.is_in(logged["item"], items["item"]))
    if not known.num_rows:
        raise ValueError(f"no item of {path} is in the log: check --item and source.item")
    with context.engine.begin() as connection:
        made = db_clusters.add(connection, clusters, items, {"imported": path, "item": item, "name": name})
    share = pc.sum(known["traffic"]).as_py() / pc.sum(logged["traffic"]).as_py()
    return Imported(made.version, known.num_rows, logged.num_rows, share)


def get(context: Context, version: int | None = None) -> tuple[ClusterSet, pa.Table]:
    """A set and its clusters (see `db_clusters.get`); by default the newest.

    Raises:
        ValueError: there is none.
    """
    with context.engine.connect() as connection:
        wanted = db_clusters.newest(connection) if version is None else version
        if wanted is None:
            raise ValueError("there is no cluster set yet: run `driftline clusters build` or `driftline clusters import`")
        return db_clusters.describe(connection, wanted), db_clusters.get(connection, wanted)
