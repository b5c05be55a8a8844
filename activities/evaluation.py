"""Step: judge a candidate by what was measured on the window that neither training nor retrieval has seen."""

from dataclasses import dataclass, replace

from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import Evaluate, Evaluation
from driftline.db import evaluations as db_evaluations
from driftline.db import measurements as db_measurements
from driftline.interests.gates import evaluation, judge


@dataclass(frozen=True)
class EvaluationActivities:
    resources: Resources

    @activity.defn
    @heartbeats("evaluating")
    def evaluate(self, request: Evaluate) -> Evaluation:
        """Judges a table by its measured quality, and stores the evaluation.

        Raises:
            BadInput: the table's quality was not measured on this test window.
        """
        gates = request.gates
        with self.resources.engine.connect() as connection:
            measured = db_measurements.of_quality(connection, request.table, request.test_counts, request.quality)
        judged = judge(evaluation(measured.result, gates), gates)
        judged = replace(judged, review_required=gates.review == "always", measurement=measured.version)
        with self.resources.engine.begin() as connection:
            return db_evaluations.add(connection, request.table, request.test_counts, judged)
