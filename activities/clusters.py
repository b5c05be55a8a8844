"""Steps of a cluster set: find it, embed the catalogue, build the tree, describe its clusters."""

import asyncio
import dataclasses
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from temporalio import activity

from driftline.activities import computed, naming
from driftline.activities.child import run_child
from driftline.activities.heartbeats import beating, heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import (
    BadInput,
    BuildClusterSet,
    CatalogueRef,
    ClusterSetRef,
    DescribeClusterSet,
    EmbedCatalogue,
    EmbeddingsRef,
    EmbedJob,
    Source,
)
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.db.clusters import ClusterSet, describing
from driftline.interests import clusters, keywords
from driftline.interests.centres import Ids, Vectors, centres
from driftline.interests.naming import CANDIDATES
from driftline.sources.profile import catalogue


@dataclass(frozen=True)
class ClusterActivities:
    resources: Resources

    @activity.defn
    def resolve_cluster_set(self, version: int | None) -> ClusterSetRef:
        """Resolves the requested cluster set; without a request, the newest.

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
        """Embed each distinct item text once; texts that were embedded before, by whatever run, are not embedded again."""
        await asyncio.to_thread(self._check_model, request)
        note = await asyncio.to_thread(self._note, request)
        if (known := await asyncio.to_thread(self._embedded, note)) is not None:
            return known
        key = hashlib.sha256(f"{request.catalogue.hash}\0{request.model}".encode()).hexdigest()
        work = self.resources.work("embed", key[:16])
        out = work / "embeddings"
        out.mkdir(exist_ok=True)
        texts = self.resources.artifacts.find(request.catalogue.uri, request.catalogue.hash) / "texts.parquet"
        job = EmbedJob(str(texts), request.model, str(out / "embeddings.npy"))
        await run_child("driftline.engines.embed", job, work, self.resources.home, self.resources.children)
        uri, digest = await asyncio.to_thread(self.resources.artifacts.store, "embeddings", out)
        own = computed.read(out)
        shutil.rmtree(work)
        note.parent.mkdir(exist_ok=True)
        new = note.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps([uri, digest]))
        new.replace(note)
        return EmbeddingsRef(uri, digest, own)

    def _note(self, request: EmbedCatalogue) -> Path:
        """Where it is noted what embeds just these texts; their traffic is no matter."""
        catalogue = self.resources.artifacts.find(request.catalogue.uri, request.catalogue.hash)
        texts = pq.read_table(catalogue / "texts.parquet", columns=["text"])["text"].to_pylist()
        key = hashlib.sha256(json.dumps([request.model, texts]).encode()).hexdigest()
        return self.resources.home / "embedded" / f"{key}.json"

    def _embedded(self, note: Path) -> EmbeddingsRef | None:
        try:
            uri, digest = json.loads(note.read_text())
            return EmbeddingsRef(uri, digest, computed.read(self.resources.artifacts.find(uri, digest)))
        except (FileNotFoundError, BadInput):
            return None

    @activity.defn
    async def build_cluster_set(self, request: BuildClusterSet) -> ClusterSetRef:
        """Split the tree, name the interests, and store the set with how much its names say."""
        self.resources.allowed.check_model(request.clusters.embedding_model)
        texts, table, assignment, middles = await beating("clustering", self._split, request)
        chosen = naming.Naming(request.catalogue, request.embeddings, request.clusters, request.clusters.keywords)
        named, said = await naming.name(self.resources, chosen, texts, table)
        # How items are added later is no part of how the set was made.
        knobs = {name: value for name, value in dataclasses.asdict(request.clusters).items() if name != "assign"}
        method: dict[str, Any] = {"built": knobs, "catalogue": request.catalogue.hash}
        if request.embeddings.computed is not None:
            method["embedded"] = dataclasses.asdict(request.embeddings.computed)
        return await asyncio.to_thread(naming.store, self.resources, named, assignment, method, said, chosen, middles)

    @activity.defn
    async def describe_cluster_set(self, request: DescribeClusterSet) -> ClusterSetRef:
        """Other descriptions of the same clusters, as a new version that names the one before; `as_is` only measures."""
        self.resources.allowed.check_model(request.clusters.embedding_model)
        about, table, assignment, texts = await beating("reading", self._read, request)
        count = request.clusters.keywords if request.how == "keywords" else 0
        chosen = naming.Naming(request.catalogue, request.embeddings, request.clusters, count, request.cluster_set)
        method = about.method
        if request.how == "keywords":
            table = await beating("naming", naming.candidates, table, texts, "built" in about.method)
            method = describing(about, "keywords")
        elif request.how == "llm":
            self.resources.allowed.check_model(request.base_model)
            table = await naming.written(self.resources, request.base_model, chosen, texts, table)
            method = describing(about, request.base_model)
        named, said = await naming.name(self.resources, chosen, texts, table)
        return await asyncio.to_thread(naming.store, self.resources, named, assignment, method, said, chosen)

    def _split(self, request: BuildClusterSet) -> tuple[pa.Table, pa.Table, pa.Table, tuple[Ids, Vectors]]:
        """The texts (row, cluster, items), the clusters with their candidates, the assignment of items, and the centres."""
        items, texts, embeddings = naming.read(self.resources, request.catalogue, request.embeddings)
        traffic, count = texts["traffic"].to_numpy(), request.clusters.keywords
        of_text = clusters.build(embeddings, traffic, request.clusters)
        table = keywords.cluster_table(texts["text"].to_pylist(), of_text, traffic, count, CANDIDATES)
        table = table.append_column("start", pa.array([count] * table.num_rows))
        assigned = pa.table({"text": texts["text"], "row": np.arange(texts.num_rows), "cluster": of_text})
        number = items.group_by("text").aggregate([([], "count_all")]).rename_columns(["text", "items"])
        placed = assigned.join(number, "text").select(["row", "cluster", "items"]).sort_by("row")
        middles = centres(embeddings, of_text, traffic, table.num_rows)
        return placed, table, items.join(assigned, "text").select(["item", "cluster"]), middles

    def _read(self, request: DescribeClusterSet) -> tuple[ClusterSet, pa.Table, pa.Table, pa.Table]:
        """The set, its clusters, its items, and each text of each cluster: text, row, cluster, traffic, items."""
        with self.resources.engine.connect() as connection:
            about = db_clusters.describe(connection, request.cluster_set)
            table, assignment = (of(connection, request.cluster_set) for of in (db_clusters.get, db_clusters.items))
        items, texts, _ = naming.read(self.resources, request.catalogue, request.embeddings)
        rows = pa.table({"text": texts["text"], "row": np.arange(texts.num_rows)})
        known = items.join(assignment, "item", join_type="inner").join(rows, "text", join_type="inner")
        if not known.num_rows:
            raise BadInput(f"no item of cluster set {request.cluster_set} is in the catalogue: check source.items")
        grouped = known.group_by(["text", "row", "cluster"]).aggregate([("traffic", "sum"), ([], "count_all")])
        placed = grouped.rename_columns(["text", "row", "cluster", "traffic", "items"])
        return about, table, assignment, placed.sort_by([("cluster", "ascending"), ("row", "ascending")])

    def _check_model(self, request: EmbedCatalogue) -> None:
        """Refuses an embedding model that nobody named.

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
