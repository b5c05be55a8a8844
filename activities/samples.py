"""Steps: curate the fine-tuning samples of a counts version, and what their training is validated on, prompts rendered."""

import hashlib
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection
from temporalio import activity

import db.clusters
import db.counts
from activities.beating import beating
from activities.resources import Resources
from contracts import BadInput, CurateSamples, CurateValidation, SamplesRef, ValidationRef
from interests import prompts, retrieval, samples

TOLD = 0.5
"""Share of the validation pairs whose prompt has the retrieved line: the model is to answer fine-tunes and refreshes."""


@dataclass(frozen=True)
class SampleActivities:
    resources: Resources

    @activity.defn
    @beating("curating")
    def curate_samples(self, request: CurateSamples) -> SamplesRef:
        with self.resources.engine.connect() as connection:
            of = _Curation(connection, request)
        with self.resources.artifacts.folder() as folder:
            curated = of.curate(of.counts)
            table = prompts.samples_table(of.descriptions, curated, of.retrieved, request.samples.retrieved_share)
            pq.write_table(table, folder / "samples.parquet")
            uri, _ = self.resources.artifacts.store("samples", folder)
        missing = samples.missing_labels(curated, len(of.descriptions))
        if missing:
            activity.logger.warning("clusters that no sample teaches: %s", missing)
        return SamplesRef(uri, prompts.prompt_hash(table), table.num_rows, len(of.descriptions) - len(missing))

    @activity.defn
    @beating("curating")
    def curate_validation(self, request: CurateValidation) -> ValidationRef:
        """Pairs to ask, and samples of the validation window: curated as the training's, and told what the training window says.

        Raises:
            BadInput: the validation window has no triple.
        """
        knobs = request.curated.samples
        with self.resources.engine.connect() as connection:
            of = _Curation(connection, request.curated)
            counts = db.counts.read(connection, request.counts)
        if counts.num_rows == 0:
            raise BadInput("no triple in the validation window: raise fine_tune.validation_days, or set it to 0")
        curated = samples.thin(of.curate(counts), knobs.validation_size)
        asked = samples.draw_pairs(len(of.descriptions), knobs.validation_size)
        tables = {
            "samples": prompts.samples_table(of.descriptions, curated, of.retrieved, knobs.retrieved_share),
            "pairs": prompts.pairs_table(of.descriptions, asked, of.retrieved, TOLD if knobs.retrieved_share else 0.0),
            "labels": pa.table({"description": of.descriptions}),
        }
        with self.resources.artifacts.folder() as folder:
            for name, table in tables.items():
                pq.write_table(table, folder / f"{name}.parquet")
            uri, _ = self.resources.artifacts.store("validation", folder)
        digest = hashlib.sha256("".join(map(prompts.prompt_hash, tables.values())).encode()).hexdigest()
        return ValidationRef(uri, digest, request.counts, curated.num_rows, asked.num_rows)


class _Curation:
    """What samples are made from: counts, descriptions, and what the training window says of every pair."""

    def __init__(self, connection: Connection, request: CurateSamples) -> None:
        self.knobs = request.samples
        self.counts = db.counts.read(connection, request.counts)
        clusters = db.clusters.get(connection, db.counts.describe(connection, request.counts).cluster_set)
        self.descriptions: list[str] = clusters["description"].to_pylist()
        # A training window has no window before it to show a trend against.
        as_refresh = replace(request.retrieval, similarity="frequency")
        self.retrieved = retrieval.retrieve(self.counts, None, as_refresh, len(self.descriptions))

    def curate(self, counts: pa.Table) -> pa.Table:
        return samples.curate(counts, self.knobs.pairs_per_label, self.knobs.prompts_per_interest)
