"""What the steps of a cluster set share about its names: choose them, let an LLM write them, measure them."""

import hashlib
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from temporalio import activity

from driftline.activities.child import run_child
from driftline.activities.resources import Resources
from driftline.contracts import CatalogueRef, Clusters, ClusterSetRef, EmbeddingsRef, NameJob, RunIds, WriteNamesJob
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.db import measurements as db_measurements
from driftline.interests import keywords
from driftline.interests.centres import Ids, Vectors
from driftline.interests.descriptions import describe
from driftline.interests.naming import CANDIDATES, Named, example

EXAMPLES = 8
"""Texts of a cluster that an LLM is shown to name it by."""


@dataclass(frozen=True)
class Naming:
    """What the names of a set are chosen and measured by.

    Attributes:
        count: most keywords of a description; 0 to measure those that it has.
        cluster_set: the set that is described anew.
    """

    catalogue: CatalogueRef
    embeddings: EmbeddingsRef
    clusters: Clusters
    count: int
    cluster_set: int | None = None


def read(resources: Resources, catalogue: CatalogueRef, embeddings: EmbeddingsRef) -> tuple[pa.Table, pa.Table, Any]:
    """Items (item, text, traffic), texts (text, traffic), and the texts' embeddings."""
    folder = resources.artifacts.find(catalogue.uri, catalogue.hash)
    vectors = resources.artifacts.find(embeddings.uri, embeddings.hash) / "embeddings.npy"
    return pq.read_table(folder / "items.parquet"), pq.read_table(folder / "texts.parquet"), np.load(vectors)


def candidates(table: pa.Table, texts: pa.Table, built: bool) -> pa.Table:
    """The clusters of a set with what may name them: the words of the present description, and the keywords of the texts.

    Args:
        texts: text, cluster, traffic.
        built: a description is a list of keywords. One that a person brought is one word of it.
    """
    found = keywords.rank(
        texts["text"].to_pylist(), texts["traffic"].to_numpy(), texts["cluster"].to_numpy(), table.num_rows, CANDIDATES
    )
    first = [text.split(", ") if built else [text] for text in table["description"].to_pylist()]
    offered = [list(dict.fromkeys((*name, *words)))[:CANDIDATES] for name, words in zip(first, found, strict=True)]
    return put(table, keywords=pa.array(offered, pa.list_(pa.string()))).append_column("start", pa.array(list(map(len, first))))


async def name(resources: Resources, naming: Naming, texts: pa.Table, table: pa.Table) -> tuple[pa.Table, Named]:
    """The clusters with the descriptions and keywords that are chosen, or left as they are, and how much those say.

    Args:
        texts: row (of the embeddings), cluster and items of each text of each cluster.
        table: cluster, description, keywords and, to choose from these, start (see `naming.Candidates`).
    """
    work = resources.work("name", _key(naming))
    out = work / "named"
    out.mkdir(exist_ok=True)
    pq.write_table(texts.select(["row", "cluster", "items"]), work / "texts.parquet")
    pq.write_table(table, work / "clusters.parquet")
    vectors = resources.artifacts.find(naming.embeddings.uri, naming.embeddings.hash) / "embeddings.npy"
    job = NameJob(
        texts=str(work / "texts.parquet"),
        clusters=str(work / "clusters.parquet"),
        embeddings=str(vectors),
        model=naming.clusters.embedding_model,
        out=str(out),
        count=naming.count,
    )
    await run_child("driftline.engines.name", job, work, resources.home, resources.children)
    named, said = pq.read_table(out / "named.parquet"), TypeAdapter(Named).validate_json((out / "said.json").read_bytes())
    shutil.rmtree(work)
    same = [a == b for a, b in zip(table["name"].to_pylist(), table["description"].to_pylist(), strict=True)]
    names = [
        new if was else old
        for was, old, new in zip(same, table["name"].to_pylist(), named["description"].to_pylist(), strict=True)
    ]
    return put(table, name=pa.array(names), description=named["description"], keywords=named["keywords"]), said


async def written(resources: Resources, base_model: str, naming: Naming, texts: pa.Table, table: pa.Table) -> pa.Table:
    """Descriptions in the LLM's words, made distinct; where it wrote nothing, the present one."""
    work = resources.work("write-names", _key((base_model, naming)))
    shown = examples(texts, read(resources, naming.catalogue, naming.embeddings)[2], table.num_rows)
    pq.write_table(table.select(["cluster"]).append_column("examples", pa.array(shown)), work / "clusters.parquet")
    job = WriteNamesJob(str(work / "clusters.parquet"), base_model, str(work / "names.parquet"))
    await run_child("driftline.engines.write_names", job, work, resources.home, resources.children)
    found = pq.read_table(work / "names.parquet")["name"].to_pylist()
    shutil.rmtree(work)
    present = table["description"].to_pylist()
    return put(table, description=pa.array(describe([[new or old] for new, old in zip(found, present, strict=True)], 1)))


def examples(texts: pa.Table, embeddings: Any, n_clusters: int) -> list[list[str]]:
    """The texts nearest to each cluster's mean."""
    row, cluster, words = texts["row"].to_numpy(), texts["cluster"].to_numpy(), texts["text"].to_pylist()
    found = []
    for number in range(n_clusters):
        members = np.flatnonzero(cluster == number)
        own = embeddings[row[members]]
        nearest = members[np.argsort(-(own @ own.sum(axis=0)), kind="stable")[:EXAMPLES]]
        found.append([example(words[at]) for at in nearest])
    return found


def store(
    resources: Resources,
    table: pa.Table,
    assignment: pa.Table,
    method: dict[str, Any],
    said: Named,
    naming: Naming,
    middles: tuple[Ids, Vectors] | None = None,
) -> ClusterSetRef:
    """Put the set on record, with its centres if they are known, and how much its names say."""
    info = activity.info()
    inputs = {"catalogue": naming.catalogue.hash, "embeddings": naming.embeddings.hash, "model": naming.clusters.embedding_model}
    with resources.engine.begin() as connection:
        made = db_clusters.add(connection, table, assignment, method)
        if middles:
            db_assignments.add_centres(connection, made.version, *middles, naming.clusters.embedding_model)
        run = RunIds(info.workflow_id or "", info.workflow_run_id or "")
        db_measurements.add(connection, kind="names", cluster_set=made.version, inputs=inputs, result=said, run=run)
    return made


def put(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with other columns under the names that it has."""
    for column, values in columns.items():
        table = table.set_column(table.column_names.index(column), column, values)
    return table


def _key(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()[:16]
