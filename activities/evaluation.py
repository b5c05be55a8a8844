"""Step: judge a candidate on the window that neither training nor retrieval has seen."""

from dataclasses import dataclass, replace

from temporalio import activity

import db.counts
import db.evaluations
import db.tables
from activities.beating import beating
from activities.resources import Resources
from contracts import Evaluate, Evaluation
from interests.gates import judge
from interests.metrics import evaluate


@dataclass(frozen=True)
class EvaluationActivities:
    resources: Resources

    @activity.defn
    @beating("evaluating")
    def evaluate(self, request: Evaluate) -> Evaluation:
        with self.resources.engine.connect() as connection:
            table = db.tables.get(connection, request.table)
            mapping = db.tables.answers(connection, request.table)
            counts = db.counts.read(connection, table.counts_version)
            test_counts = db.counts.read(connection, request.test_counts)
        measured = evaluate(mapping, counts, test_counts, table.clusters, request.gates.confidence)
        judged = replace(judge(measured, request.gates), review_required=request.gates.review == "always")
        with self.resources.engine.begin() as connection:
            return db.evaluations.add(connection, request.table, request.test_counts, judged)
