"""Step: curate the fine-tuning samples of a counts version, prompts rendered."""

from dataclasses import dataclass, replace

import pyarrow.parquet as pq
from temporalio import activity

import db.clusters
import db.counts
from activities.beating import beating
from activities.resources import Resources
from contracts import CurateSamples, SamplesRef
from interests import prompts, retrieval, samples


@dataclass(frozen=True)
class SampleActivities:
    resources: Resources

    @activity.defn
    @beating("curating")
    def curate_samples(self, request: CurateSamples) -> SamplesRef:
        with self.resources.engine.connect() as connection:
            counts = db.counts.read(connection, request.counts)
            clusters = db.clusters.get(connection, db.counts.describe(connection, request.counts).cluster_set)
        with self.resources.artifacts.folder() as folder:
            curated = samples.curate(counts, request.samples.pairs_per_label)
            # A training window has no window before it to show a trend against.
            told = retrieval.retrieve(counts, None, replace(request.retrieval, similarity="frequency"), clusters.num_rows)
            share = request.samples.retrieved_share
            table = prompts.samples_table(clusters["description"].to_pylist(), curated, told, share)
            pq.write_table(table, folder / "samples.parquet")
            uri, _ = self.resources.artifacts.store("samples", folder)
        missing = samples.missing_labels(curated, clusters.num_rows)
        if missing:
            activity.logger.warning("clusters that no sample teaches: %s", missing)
        return SamplesRef(uri, prompts.prompt_hash(table), table.num_rows, clusters.num_rows - len(missing))
