"""Steps: curate the fine-tuning samples of a counts version, and what their training is validated on, prompts rendered."""

import hashlib
from dataclasses import dataclass

import pyarrow.parquet as pq
from sqlalchemy import Connection
from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import BadInput, CurateSamples, CurateValidation, SamplesRef, ValidationRef
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.interests import prompts, samples
from driftline.interests.curation import Curation


@dataclass(frozen=True)
class SampleActivities:
    resources: Resources

    @activity.defn
    @heartbeats("curating")
    def curate_samples(self, request: CurateSamples) -> SamplesRef:
        with self.resources.engine.connect() as connection:
            of = _curation(connection, request)
        with self.resources.artifacts.folder() as folder:
            curated = of.curate(of.counts)
            table = of.rendered(curated)
            pq.write_table(table, folder / "samples.parquet")
            uri, _ = self.resources.artifacts.store("samples", folder)
        missing = samples.missing_labels(curated, len(of.descriptions))
        if missing:
            activity.logger.warning("clusters that no sample teaches: %s", missing)
        return SamplesRef(uri, prompts.prompt_hash(table), table.num_rows, len(of.descriptions) - len(missing))

    @activity.defn
    @heartbeats("curating")
    def curate_validation(self, request: CurateValidation) -> ValidationRef:
        """Curates the validation window as the training's: pairs for exact match, samples for the loss, with retrieved lines.

        Raises:
            BadInput: the validation window has no triple.
        """
        with self.resources.engine.connect() as connection:
            of = _curation(connection, request.curated)
            counts = db_counts.read(connection, request.counts)
        if counts.num_rows == 0:
            raise BadInput("no triple in the validation window: raise fine_tune.validation_days, or set it to 0")
        tables = of.validation(counts)
        with self.resources.artifacts.folder() as folder:
            for name, table in tables.items():
                pq.write_table(table, folder / f"{name}.parquet")
            uri, _ = self.resources.artifacts.store("validation", folder)
        digest = hashlib.sha256("".join(map(prompts.prompt_hash, tables.values())).encode()).hexdigest()
        return ValidationRef(uri, digest, request.counts, tables["samples"].num_rows, tables["pairs"].num_rows)


def _curation(connection: Connection, request: CurateSamples) -> Curation:
    counts = db_counts.read(connection, request.counts)
    clusters = db_clusters.get(connection, db_counts.describe(connection, request.counts).cluster_set)
    return Curation(counts, clusters["description"].to_pylist(), request.samples, request.retrieval)
