"""Cluster sets: build one, bring one along, look at one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from temporalio.client import WorkflowHandle

from driftline.contracts import (
    AssignItemsInput,
    AssignmentRef,
    BadInput,
    BuildClustersInput,
    ClusterSetRef,
    DescribeClustersInput,
    How,
)
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.db import measurements as db_measurements
from driftline.db.clusters import ClusterSet
from driftline.interests.descriptions import check_descriptions
from driftline.interests.imported import LONGEST, imported_table
from driftline.interests.naming import Named
from driftline.operations.context import Context
from driftline.operations.runs import join
from driftline.sources import cluster_file
from driftline.sources.cluster_file import ClusterFile
from driftline.sources.profile import traffic
from driftline.sources.table import read_table


async def build(context: Context, workflow_id: str = "build-clusters") -> WorkflowHandle[Any, ClusterSetRef]:
    """Start the build of a set from the catalogue's texts. One of this id that is under way is joined."""
    return await join(
        context,
        "BuildClusters",
        BuildClustersInput(context.settings.source, context.settings.clusters),
        workflow_id,
        ClusterSetRef,
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
    return await join(
        context,
        "AssignItems",
        AssignItemsInput(context.settings.source, about.version, context.settings.clusters),
        f"assign-items-{about.version}",
        AssignmentRef,
    )


def newest_assignment(context: Context, cluster_set: int) -> AssignmentRef:
    """The newest assignment of a set, with how many items all of them have added."""
    with context.engine.connect() as connection:
        return db_assignments.newest(connection, cluster_set)


def added(context: Context, assignment: int) -> pa.Table:
    """Items that an assignment added, by cluster: cluster, items, similarity (their mean); sorted by cluster.

    Raises:
        BadInput: there is no such assignment.
    """
    with context.engine.connect() as connection:
        items = db_assignments.added(connection, assignment)
    counted = items.group_by("cluster").aggregate([("item", "count"), ("similarity", "mean")]).sort_by("cluster")
    return counted.rename_columns(["cluster", "items", "similarity"])


async def describe(context: Context, version: int, how: How) -> WorkflowHandle[Any, ClusterSetRef]:
    """Start to write other descriptions of a set's clusters, or (`as_is`) to measure those that it has."""
    settings = context.settings
    return await join(
        context,
        "DescribeClusters",
        DescribeClustersInput(settings.source, version, settings.clusters, how, settings.training.base_model),
        f"describe-clusters-{version}-{how}",
        ClusterSetRef,
    )


def rename(context: Context, version: int, descriptions: Mapping[int, str], by: str) -> ClusterSetRef:
    """Store a set with the same ids and items under descriptions that a person wrote; those not given stay.

    Raises:
        BadInput: a cluster is not there, or a description cannot be told apart from another.
    """
    about, table = get(context, version)
    stray = sorted(set(descriptions) - set(range(about.clusters)))
    if stray:
        raise BadInput(f"cluster set {version} has no cluster {stray[0]}: its ids are 0 to {about.clusters - 1}")
    texts = [descriptions.get(number, text).strip() for number, text in enumerate(table["description"].to_pylist())]
    long = [number for number, text in enumerate(texts) if len(text) > LONGEST]
    if long:
        raise BadInput(f"the description of cluster {long[0]} has more than {LONGEST} characters: every prompt holds two of them")
    check_descriptions(texts)
    if texts == table["description"].to_pylist():
        return ClusterSetRef(about.version, about.clusters, about.items)
    table = table.set_column(table.column_names.index("description"), "description", pa.array(texts))
    table = table.set_column(table.column_names.index("name"), "name", pa.array(texts))
    with context.engine.begin() as connection:
        items = db_clusters.items(connection, version)
        return db_clusters.add(connection, table, items, db_clusters.describing(about, by))


def written(path: str, setup: str = "") -> dict[int, str]:
    """The descriptions by cluster of a Parquet or CSV file with these two columns.

    Raises:
        BadInput: a row has no cluster id.
    """
    found = read_table(path, {"cluster": "cluster", "description": "description"}, setup).drop_null()
    try:
        return {int(row["cluster"]): row["description"] for row in found.to_pylist()}
    except ValueError as error:
        raise BadInput(f"{path}: the column `cluster` has to hold ids of clusters: {error}") from None


def measured_names(context: Context, version: int) -> Named | None:
    """The measurement of a set's descriptions; None where it was not measured."""
    with context.engine.connect() as connection:
        found = db_measurements.of_names(connection, version)
    return found


@dataclass(frozen=True)
class Imported:
    """A set that was imported, and how much of the log it covers.

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


def export(context: Context, path: Path, version: int | None = None) -> ClusterSet:
    """Write a set to a file that `import_exported` makes the same set of, in any database; by default the newest.

    Raises:
        ValueError: there is none.
    """
    about, clusters = get(context, version)
    with context.engine.connect() as connection:
        items = db_clusters.items(connection, about.version)
        known, centres = db_assignments.centres(connection, about.version)
        model = db_assignments.model_of_centres(connection, about.version) or ""
    middles = dict(zip(known.tolist(), centres.tolist(), strict=True))
    cluster_file.write(path, ClusterFile(about.key, about.method, clusters, items, middles, model))
    return about


def is_exported(path: str) -> bool:
    """Whether a file is what `export` writes."""
    return cluster_file.is_cluster_file(path)


def import_exported(context: Context, path: str) -> ClusterSetRef:
    """Store the set of an exported file under the key that it had, so that all that is made with it has the same keys, too.

    Raises:
        BadInput: the file is not what was exported.
    """
    found = cluster_file.read(path)
    if db_clusters.key_of(found.clusters, found.items, found.method) != found.key:
        raise BadInput(
            f"{path} is not what was exported: its content has another key. Export it again; new descriptions are a "
            "matter of `driftline clusters describe`"
        )
    with context.engine.begin() as connection:
        made = db_clusters.add(connection, found.clusters, found.items, found.method)
        ids = np.array(sorted(found.centres), np.int32)
        centres = np.array([found.centres[number] for number in ids.tolist()], np.float32)
        db_assignments.add_centres(connection, made.version, ids, centres, found.model)
        return made


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
