"""Steps that put new items into the clusters of a set: find the items, and choose the nearest cluster for each."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from temporalio import activity

from driftline.activities.clusters import store_catalogue
from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import AssignmentRef, AssignNewItems, FindNewItems, NewItems
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.interests import centres
from driftline.sources.profile import catalogue, texts

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class AssignmentActivities:
    resources: Resources

    @activity.defn
    @heartbeats("reading")
    def read_new_items(self, request: FindNewItems) -> NewItems:
        """Read what the catalogue has and the set has not: nothing else is embedded.

        For a set without centres (an imported one, or one of before they were kept) that is the whole catalogue, with the
        traffic that weighs the centres.
        """
        self.resources.allowed.check_source(request.source)
        with self.resources.engine.connect() as connection:
            newest = db_assignments.newest(connection, request.cluster_set)
            known = db_clusters.items(connection, request.cluster_set, newest.version).select(["item"])
            model = db_assignments.model(connection, request.cluster_set) or request.model
            has_centres = db_assignments.model_of_centres(connection, request.cluster_set) is not None
        found = texts(request.source) if has_centres else catalogue(request.source)
        new = found.join(known, "item", join_type="left anti")
        if not new.num_rows:
            return NewItems(newest, model)
        if has_centres:
            found = new.append_column("traffic", pa.array(np.zeros(new.num_rows, np.int64)))
        return NewItems(newest, model, store_catalogue(self.resources, found.sort_by("item")))

    @activity.defn
    @heartbeats("assigning")
    def assign_new_items(self, request: AssignNewItems) -> AssignmentRef:
        """Put every item that is new to the set into the cluster with the nearest centre, as its next assignment.

        Idempotent: what a first attempt has added is not new to the second.
        """
        find = self.resources.artifacts.find
        folder = find(request.catalogue.uri, request.catalogue.hash)
        items, of_text = pq.read_table(folder / "items.parquet"), pq.read_table(folder / "texts.parquet")["text"]
        embeddings = np.load(find(request.embeddings.uri, request.embeddings.hash) / "embeddings.npy")
        items = items.append_column("text_row", pc.index_in(items["text"], of_text))
        with self.resources.engine.connect() as connection:
            newest = db_assignments.newest(connection, request.cluster_set).version
            known = db_clusters.items(connection, request.cluster_set, newest)
            middles = db_assignments.centres(connection, request.cluster_set)
            clusters = db_clusters.describe(connection, request.cluster_set).clusters
        if not len(middles[0]):
            middles = _centres(items.join(known, "item", join_type="inner"), embeddings, clusters)
        new = items.join(known.select(["item"]), "item", join_type="left anti")
        cluster, similarity = centres.nearest(embeddings[new["text_row"].to_numpy()], *middles)
        method: dict[str, Any] = {"model": request.model, "catalogue": request.catalogue.hash}
        if request.embeddings.computed is not None:
            method["embedded"] = asdict(request.embeddings.computed)
        added = pa.table({"item": new["item"], "cluster": cluster, "similarity": similarity})
        with self.resources.engine.begin() as connection:
            db_assignments.add_centres(connection, request.cluster_set, *middles, request.model)
            return db_assignments.add(connection, request.cluster_set, added, method)


def _centres(items: pa.Table, embeddings: Embeddings, clusters: int) -> tuple[NDArray[np.int32], Embeddings]:
    """The centres of a set's own items (item, text_row, cluster, traffic): each text once in each of its clusters."""
    groups = items.group_by(["text_row", "cluster"]).aggregate([("traffic", "sum")]).sort_by([("text_row", "ascending")])
    rows, cluster, traffic = (groups[name].to_numpy() for name in ("text_row", "cluster", "traffic_sum"))
    return centres.centres(embeddings[rows], cluster, traffic, clusters)
