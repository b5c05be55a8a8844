"""Steps of a cluster set: find it, embed the catalogue, build the tree."""

import asyncio
import dataclasses
import hashlib
import shutil
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from temporalio import activity

from driftline.activities import computed
from driftline.activities.child import run_child
from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import (
    BadInput,
    BuildClusterSet,
    CatalogueRef,
    ClusterSetRef,
    EmbedCatalogue,
    EmbeddingsRef,
    EmbedJob,
    Source,
)
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.interests import clusters, keywords
from driftline.interests.centres import centres
from driftline.sources.profile import catalogue


@dataclass(frozen=True)
class ClusterActivities:
    resources: Resources

    @activity.defn
    def resolve_cluster_set(self, version: int | None) -> ClusterSetRef:
        """The asked cluster set, else the newest.

        Raises:
            BadInput: there is none.
        """
        with self.resources.engine.connect() as connection:
            wanted = db_clusters.newest(connection) if version is None else version
            if wanted is None:
                raise BadInput("there is no cluster set yet: run `driftline clusters build` or `driftline clusters import` first")
            found = db_clusters.describe(connection, wanted)
            assigned = db_assignments.newest(connection, wanted)
        return ClusterSetRef(found.version, found.clusters, found.items, assigned.version)

    @activity.defn
    @heartbeats("reading")
    def read_catalogue(self, source: Source) -> CatalogueRef:
        """Read the catalogue with its traffic; each distinct text stands for the items that share it."""
        self.resources.allowed.check_source(source)
        return store_catalogue(self.resources, catalogue(source))

    @activity.defn
    async def embed_catalogue(self, request: EmbedCatalogue) -> EmbeddingsRef:
        """Embed each distinct item text once."""
        await asyncio.to_thread(self._check_model, request)
        key = hashlib.sha256(f"{request.catalogue.hash}\0{request.model}".encode()).hexdigest()
        work = self.resources.work("embed", key[:16])
        out = work / "embeddings"
        out.mkdir(exist_ok=True)
        texts = self.resources.artifacts.find(request.catalogue.uri, request.catalogue.hash) / "texts.parquet"
        job = EmbedJob(str(texts), request.model, str(out / "embeddings.npy"))
        await run_child("driftline.engines.embed", job, work, self.resources.home, self.resources.children)
        uri, digest = await asyncio.to_thread(self.resources.artifacts.store, "embeddings", out)
        shutil.rmtree(work)
        return EmbeddingsRef(uri, digest, computed.read(self.resources.artifacts.place(uri)))

    @activity.defn
    @heartbeats("clustering")
    def build_cluster_set(self, request: BuildClusterSet) -> ClusterSetRef:
        """Split the tree, name the interests, and store the set."""
        folder = self.resources.artifacts.find(request.catalogue.uri, request.catalogue.hash)
        items, texts = pq.read_table(folder / "items.parquet"), pq.read_table(folder / "texts.parquet")
        embeddings = np.load(self.resources.artifacts.find(request.embeddings.uri, request.embeddings.hash) / "embeddings.npy")
        traffic = texts["traffic"].to_numpy()
        of_text = clusters.build(embeddings, traffic, request.clusters)
        described = keywords.cluster_table(texts["text"].to_pylist(), of_text, traffic, request.clusters.keywords)
        assignment = items.join(pa.table({"text": texts["text"], "cluster": of_text}), "text").select(["item", "cluster"])
        middles = centres(embeddings, of_text, traffic, described.num_rows)
        # How items are added later is no part of how the set was made.
        knobs = {name: value for name, value in dataclasses.asdict(request.clusters).items() if name != "assign"}
        method = {"built": knobs, "catalogue": request.catalogue.hash}
        if request.embeddings.computed is not None:
            method["embedded"] = dataclasses.asdict(request.embeddings.computed)
        with self.resources.engine.begin() as connection:
            made = db_clusters.add(connection, described, assignment, method)
            db_assignments.add_centres(connection, made.version, *middles, request.clusters.embedding_model)
            return made

    def _check_model(self, request: EmbedCatalogue) -> None:
        """
        Raises:
            BadInput: a model that nobody allowed, and that is not the one on record for the cluster set.
        """
        try:
            self.resources.allowed.check_model(request.model)
        except BadInput:
            with self.resources.engine.connect() as connection:
                if request.cluster_set is None or db_assignments.model(connection, request.cluster_set) != request.model:
                    raise


def store_catalogue(resources: Resources, items: pa.Table) -> CatalogueRef:
    """Keep items (item, text, traffic) as an artifact, and beside them each distinct text with its traffic."""
    with resources.artifacts.folder() as folder:
        texts = items.group_by("text").aggregate([("traffic", "sum")]).rename_columns(["text", "traffic"]).sort_by("text")
        pq.write_table(items, folder / "items.parquet")
        pq.write_table(texts, folder / "texts.parquet")
        uri, digest = resources.artifacts.store("catalogues", folder)
    return CatalogueRef(uri, digest, items.num_rows, texts.num_rows)
