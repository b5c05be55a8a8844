"""Step: store a mapping as a version of the transition table."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from temporalio import activity

from driftline.activities.resources import Resources
from driftline.contracts import BadInput, StoreTable, TableRef
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.db import tables as db_tables
from driftline.interests.mapping import check
from driftline.interests.scores import of_answers

PAIR = ["c1", "c2"]


@dataclass(frozen=True)
class TableActivities:
    resources: Resources

    @activity.defn
    def store_table(self, request: StoreTable) -> TableRef:
        """Stores a mapping as a transition table. Idempotent: the same mapping of the same run's time is the same version."""
        mapping = self._mapping(request)
        if request.prompts is not None:
            prompts = _by_pair(self.resources.artifacts.find(request.prompts.uri) / "prompts.parquet")
            if not all(mapping[name].equals(prompts[name]) for name in PAIR):
                raise BadInput("the mapping does not answer the pairs of its prompts: run the workflow again")
            mapping = mapping.append_column("retrieved", prompts["retrieved"])  # Arrow joins no lists
        with self.resources.engine.begin() as connection:
            cluster_set = db_counts.describe(connection, request.counts).cluster_set
            check(mapping, db_clusters.describe(connection, cluster_set).clusters)
            return db_tables.add(connection, request, mapping)

    def _mapping(self, request: StoreTable) -> pa.Table:
        """What the table answers; of an LLM's with the score of each answer, where scores were kept."""
        find = self.resources.artifacts.find
        if request.answered is not None:
            return _by_pair(find(request.answered.uri, request.answered.hash) / "answers.parquet")
        if request.mapping is None:
            raise BadInput("a table needs a mapping, or answers from counts: run the workflow again")
        folder = find(request.mapping.uri, request.mapping.hash)
        mapping = pq.read_table(folder / "mapping.parquet")
        if (folder / "scores.parquet").exists():
            mapping = mapping.append_column("score", of_answers(pq.read_table(folder / "scores.parquet"), mapping["c_next"]))
        return mapping.sort_by([(name, "ascending") for name in PAIR])


def _by_pair(path: Path) -> pa.Table:
    return pq.read_table(path).sort_by([(name, "ascending") for name in PAIR])
