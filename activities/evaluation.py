"""Step: judge a candidate on the window that neither training nor retrieval has seen."""

from dataclasses import dataclass, replace

from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import Evaluate, Evaluation
from driftline.db import counts as db_counts
from driftline.db import evaluations as db_evaluations
from driftline.db import tables as db_tables
from driftline.interests.gates import judge
from driftline.interests.metrics import evaluate


@dataclass(frozen=True)
class EvaluationActivities:
    resources: Resources

    @activity.defn
    @heartbeats("evaluating")
    def evaluate(self, request: Evaluate) -> Evaluation:
        with self.resources.engine.connect() as connection:
            table = db_tables.get(connection, request.table)
            mapping = db_tables.answers(connection, request.table)
            counts = db_counts.read(connection, table.counts_version)
            test_counts = db_counts.read(connection, request.test_counts)
            unknown = db_counts.unknown_share(connection, table.counts_version, request.test_counts)
        measured = evaluate(mapping, counts, test_counts, table.clusters, request.gates.confidence)
        measured = replace(measured, unknown_share=unknown)
        judged = replace(judge(measured, request.gates), review_required=request.gates.review == "always")
        with self.resources.engine.begin() as connection:
            return db_evaluations.add(connection, request.table, request.test_counts, judged)
