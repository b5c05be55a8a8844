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
from driftline.db import clusters as db_clusters
from driftline.interests import clusters, keywords
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
        return ClusterSetRef(found.version, found.clusters, found.items)

    @activity.defn
    @heartbeats("reading")
    def read_catalogue(self, source: Source) -> CatalogueRef:
        """Read the catalogue with its traffic; each distinct text stands for the items that share it."""
        self.resources.allowed.check_source(source)
        with self.resources.artifacts.folder() as folder:
            items = catalogue(source)
            texts = items.group_by("text").aggregate([("traffic", "sum")]).rename_columns(["text", "traffic"]).sort_by("text")
            pq.write_table(items, folder / "items.parquet")
            pq.write_table(texts, folder / "texts.parquet")
            uri, digest = self.resources.artifacts.store("catalogues", folder)
        return CatalogueRef(uri, digest, items.num_rows, texts.num_rows)

    @activity.defn
    async def embed_catalogue(self, request: EmbedCatalogue) -> EmbeddingsRef:
        """Embed each distinct item text once."""
        self.resources.allowed.check_model(request.model)
        key = hashlib.sha256(f"{request.catalogue.hash}\0{request.model}".encode()).hexdigest()
        work = self.resources.work("embed", key[:16])
        out = work / "embeddings"
        out.mkdir(exist_ok=True)
        texts = self.resources.artifacts.find(request.catalogue.uri, request.catalogue.hash) / "texts.parquet"
        job = EmbedJob(str(texts), request.model, str(out / "embeddings.npy"))
        await run_child("driftline.engines.embed", job, work, self.resources.home)
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
        method = {"built": dataclasses.asdict(request.clusters), "catalogue": request.catalogue.hash}
        if request.embeddings.computed is not None:
            method["embedded"] = dataclasses.asdict(request.embeddings.computed)
        with self.resources.engine.begin() as connection:
            return db_clusters.add(connection, described, assignment, method)
