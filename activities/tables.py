"""Step: store a mapping as a version of the transition table."""

from dataclasses import dataclass

import pyarrow.parquet as pq
from temporalio import activity

import db.clusters
import db.counts
import db.tables
from activities.artifacts import local_path
from activities.resources import Resources
from contracts import StoreTable, TableRef
from interests.tables import check


@dataclass(frozen=True)
class TableActivities:
    resources: Resources

    @activity.defn
    def store_table(self, request: StoreTable) -> TableRef:
        """Idempotent: the same mapping of the same run's time is the same version."""
        mapping = pq.read_table(local_path(request.mapping.uri) / "mapping.parquet")
        prompts = pq.read_table(local_path(request.prompts.uri) / "prompts.parquet", columns=["c1", "c2", "retrieved"])
        mapping = mapping.join(prompts, ["c1", "c2"]).sort_by([("c1", "ascending"), ("c2", "ascending")])
        with self.resources.engine.begin() as connection:
            cluster_set = db.counts.describe(connection, request.counts).cluster_set
            check(mapping, db.clusters.describe(connection, cluster_set).clusters)
            return db.tables.add(connection, request, mapping)
