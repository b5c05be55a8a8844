"""Steps that measure mappings: on held-out days, against each other, and for the record of every table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection
from temporalio import activity

from driftline.activities.drift import assigned
from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import (
    Arm,
    MappingRef,
    MeasureAnswers,
    MeasureHits,
    MeasurementRef,
    MeasureQuality,
)
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.db import measurements as db_measurements
from driftline.db import tables as db_tables
from driftline.interests import metrics
from driftline.interests.counting_model import counted
from driftline.interests.mapping import answers_of
from driftline.interests.metrics.hits import DatedMapping
from driftline.interests.pairs import Ints
from driftline.sources.held_out import read_held_out

BASELINES = {"popular": metrics.most_popular, "frequent": metrics.most_frequent, "counts": counted}


@dataclass(frozen=True)
class MeasurementActivities:
    resources: Resources

    @activity.defn
    @heartbeats("measuring")
    def measure_hits(self, request: MeasureHits) -> MeasurementRef:
        """Hit rates of every arm on the held-out days (paper §3.1, Figure 3a)."""
        self.resources.allowed.check_source(request.source)
        cluster_set = request.model.cluster_set
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.describe(connection, cluster_set).clusters
            arms = {arm.name: self._versions(connection, arm, clusters) for arm in request.arms}
            support = self._support(connection, request.arms, clusters)
            items = db_clusters.items(connection, cluster_set, request.assignment)
        held_out = read_held_out(request.source, request.sequences, request.period, items)
        hits = metrics.hit_rates(
            held_out.steps,
            held_out.shown,
            clusters,
            request.period.start,
            request.period.end,
            arms,
            request.differences,
            support,
        )
        hits = replace(hits, missing=(*hits.missing, *request.missing))
        inputs = {
            "model": request.model.version,
            "source": {
                name: value for name, value in asdict(request.source).items() if name != "setup"
            },  # it may hold a password
            "arms": {arm.name: {"counts": arm.counts, "mappings": [m.hash for m in arm.mappings]} for arm in request.arms},
            "computed": _computed([mapping for arm in request.arms for mapping in arm.mappings]),
            "since": {arm.name: arm.since for arm in request.arms},
            "period": asdict(request.period),
            "every_days": request.every / timedelta(days=1),
            "retrieval": asdict(request.retrieval),
            "dedup": request.sequences.dedup,
            "predicate": request.source.positive,
        } | assigned(request.assignment)
        with self.resources.engine.begin() as connection:
            return db_measurements.add(
                connection,
                kind=request.kind,
                cluster_set=cluster_set,
                model=request.model.version,
                inputs=inputs,
                result=hits,
                run=request.run,
            )

    @activity.defn
    @heartbeats("measuring")
    def measure_answers(self, request: MeasureAnswers) -> MeasurementRef:
        """Measures the share of answers that RAG changes (paper §3.1)."""
        prompts = pq.read_table(
            self.resources.artifacts.find(request.prompts.uri) / "prompts.parquet", columns=["c1", "c2", "retrieved"]
        )
        prompts = prompts.sort_by([("c1", "ascending"), ("c2", "ascending")])
        with self.resources.engine.connect() as connection:
            clusters = db_clusters.describe(connection, request.model.cluster_set).clusters
        once, again = (self._answers(mapping, clusters) for mapping in request.sampled_without)
        compared = metrics.compare_answers(
            greedy_with=self._answers(request.greedy_with, clusters),
            greedy_without=self._answers(request.greedy_without, clusters),
            sampled_with=self._answers(request.sampled_with, clusters),
            sampled_without=(once, again),
            retrieved=None if request.retrieval.granularity == "global" else prompts["retrieved"],
            temperature=request.temperature,
        )
        mappings = [request.greedy_with, request.greedy_without, request.sampled_with, *request.sampled_without]
        inputs = {
            "model": request.model.version,
            "counts": request.counts,
            "prompts": request.prompts.hash,
            "mappings": [mapping.hash for mapping in mappings],
            "computed": _computed(mappings),
            "retrieval": asdict(request.retrieval),
            "temperature": request.temperature,
        }
        with self.resources.engine.begin() as connection:
            return db_measurements.add(
                connection,
                kind="answers",
                cluster_set=request.model.cluster_set,
                model=request.model.version,
                inputs=inputs,
                result=compared,
                run=request.run,
            )

    @activity.defn
    @heartbeats("measuring")
    def measure_quality(self, request: MeasureQuality) -> MeasurementRef:
        """A table's quality beside the counting baselines, on the window that judges it (design §3.8, §3.9)."""
        self.resources.allowed.check_source(request.source, request.counting)
        with self.resources.engine.connect() as connection:
            table = db_tables.get(connection, request.table)
            mapping = db_tables.answers(connection, request.table)
            previous = db_tables.before(connection, request.table)
            before = db_tables.answers(connection, previous) if previous else None
            counts = db_counts.read(connection, table.counts_version)
            alone = db_tables.llm_answers(connection, request.table)
            assignment = db_counts.describe(connection, request.test_counts).assignment
            unknown = db_counts.unknown_share(connection, table.counts_version, request.test_counts)
            items = db_clusters.items(connection, table.cluster_set, assignment)
        test = request.test_window
        held_out = read_held_out(request.source, request.sequences, test, items, request.counting.engine)
        quality = metrics.measure_table(
            table=table.version,
            kind=table.kind,
            nominal=table.nominal,
            mapping=mapping,
            counts=counts,
            n_clusters=table.clusters,
            steps=held_out.steps,
            shown=held_out.shown,
            start=test.start,
            end=test.end,
            confidence=request.confidence,
            alone=alone,
            compared_with=previous,
            before=before,
            unknown_share=unknown,
        )
        inputs = {
            "table": table.version,
            "compared_with": previous,
            "counts": table.counts_version,
            "test_counts": request.test_counts,
            "test_window": asdict(test),
            "dedup": request.sequences.dedup,
            "predicate": request.source.positive,
        } | assigned(assignment)
        with self.resources.engine.begin() as connection:
            return db_measurements.add(
                connection,
                kind="quality",
                cluster_set=table.cluster_set,
                table=table.version,
                inputs=inputs,
                result=quality,
                run=request.run,
            )

    def _versions(self, connection: Connection, arm: Arm, clusters: int) -> list[DatedMapping]:
        if arm.kind == "llm":
            mappings = [self._answers(mapping, clusters) for mapping in arm.mappings]
            return [DatedMapping(since, answers) for since, answers in zip(arm.since, mappings, strict=True)]
        baseline = BASELINES[arm.kind]
        tables = (baseline(db_counts.read(connection, counts), clusters) for counts in arm.counts)
        return [_version(since, table, clusters) for since, table in zip(arm.since, tables, strict=True)]

    def _support(self, connection: Connection, arms: Sequence[Arm], clusters: int) -> Ints | None:
        """n(c1, c2, ·) of the first window that a counting arm knew, from which RAG of day 1 retrieves."""
        counted = next((arm.counts[0] for arm in arms if arm.counts), None)
        return None if counted is None else metrics.support(db_counts.read(connection, counted), clusters)

    def _answers(self, mapping: MappingRef, clusters: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        folder = self.resources.artifacts.find(mapping.uri, mapping.hash)
        return answers_of(pq.read_table(folder / "mapping.parquet"), clusters)


def _computed(mappings: Sequence[MappingRef]) -> list[dict[str, Any]]:
    """What the answers were computed with, each kind of machine once; those made before that was kept say nothing."""
    found = dict.fromkeys(mapping.computed for mapping in mappings if mapping.computed is not None)
    return [asdict(computed) for computed in found]


def _version(since: datetime, mapping: pa.Table, clusters: int) -> DatedMapping:
    return DatedMapping(since, answers_of(mapping, clusters))
