"""Step: render the prompt of every ordered pair, with or without retrieved clusters."""

from dataclasses import dataclass

import pyarrow.parquet as pq
from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import PromptsRef, RenderPrompts
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.interests import prompts, retrieval


@dataclass(frozen=True)
class PromptActivities:
    resources: Resources

    @activity.defn
    @heartbeats("retrieving")
    def render_prompts(self, request: RenderPrompts) -> PromptsRef:
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.get(connection, request.cluster_set)
            counts = db_counts.read(connection, request.counts) if request.counts else None
            previous = db_counts.read(connection, request.previous_counts) if request.previous_counts else None
        with self.resources.artifacts.folder() as folder:
            retrieved = None
            if request.retrieval and counts is not None:
                retrieved = retrieval.retrieve(counts, previous, request.retrieval, clusters.num_rows)
            table = prompts.prompts_table(clusters["description"].to_pylist(), retrieved)
            pq.write_table(table, folder / "prompts.parquet")
            pq.write_table(clusters.select(["cluster", "description"]), folder / "labels.parquet")
            uri, _ = self.resources.artifacts.store("prompts", folder)
        return PromptsRef(uri, prompts.prompt_hash(table), table.num_rows, retrieved.unseen if retrieved else 0)
