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

import db.clusters
from activities.artifacts import local_path
from activities.beating import beating
from activities.child import run_child
from activities.resources import Resources
from contracts import BuildClusterSet, ClusterSetRef, EmbedCatalogue, EmbeddingsRef, EmbedJob
from interests import clusters, keywords
from sources.profile import catalogue


@dataclass(frozen=True)
class ClusterActivities:
    resources: Resources

    @activity.defn
    def resolve_cluster_set(self, version: int | None) -> ClusterSetRef:
        """The asked cluster set, else the newest.

        Raises:
            ValueError: there is none.
        """
        with self.resources.engine.connect() as connection:
            wanted = version or db.clusters.newest(connection)
            if wanted is None:
                raise ValueError(
                    "there is no cluster set yet: run `driftline clusters build` or `driftline clusters import` first"
                )
            found = db.clusters.describe(connection, wanted)
        return ClusterSetRef(found.version, found.clusters, found.items)

    @activity.defn
    async def embed_catalogue(self, request: EmbedCatalogue) -> EmbeddingsRef:
        """Embed each distinct item text once."""
        with beating("reading"):
            items = await asyncio.to_thread(catalogue, request.source)
        texts = items.group_by("text").aggregate([("traffic", "sum")]).rename_columns(["text", "traffic"]).sort_by("text")
        key = hashlib.sha256("\0".join([request.model, *texts["text"].to_pylist()]).encode()).hexdigest()
        work = self.resources.work("embed", key[:16])
        folder = work / "new"
        folder.mkdir(exist_ok=True)
        pq.write_table(items, folder / "catalogue.parquet")
        pq.write_table(texts, folder / "texts.parquet")
        job = EmbedJob(str(folder / "texts.parquet"), request.model, str(folder / "embeddings.npy"))
        await run_child("engines.embed", job, work, self.resources.home)
        uri, digest = self.resources.artifacts.store("embeddings", folder)
        shutil.rmtree(work)
        return EmbeddingsRef(uri, digest, texts.num_rows)

    @activity.defn
    def build_cluster_set(self, request: BuildClusterSet) -> ClusterSetRef:
        folder = local_path(request.embeddings.uri)
        with beating("clustering"):
            items = pq.read_table(folder / "catalogue.parquet")
            texts = pq.read_table(folder / "texts.parquet")
            traffic = texts["traffic"].to_numpy()
            of_text = clusters.build(np.load(folder / "embeddings.npy"), traffic, request.clusters)
            described = keywords.cluster_table(texts["text"].to_pylist(), of_text, traffic, request.clusters.keywords)
            assignment = items.join(pa.table({"text": texts["text"], "cluster": of_text}), "text").select(["item", "cluster"])
            with self.resources.engine.begin() as connection:
                method = {"built": dataclasses.asdict(request.clusters), "embeddings": request.embeddings.hash}
                return db.clusters.add(connection, described, assignment, method)
