"""What the whole policy brings on held-out days, from histories to items, and what it costs; no LLM is asked."""

from temporalio import workflow

from driftline.contracts import MeasurementInput, MeasurementOutcome, MeasurePolicy
from driftline.workflows import policies
from driftline.workflows.long_run import LongRun

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.policy import PolicyActivities


@workflow.defn(name="EvaluatePolicy")
class PolicyMeasurement(LongRun):
    @workflow.run
    async def run(self, request: MeasurementInput) -> MeasurementOutcome:
        self.enter("measuring")
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        asked = MeasurePolicy(request.source, request.sequences, cluster_set.version, request.period, self.run_ids())
        measured = await workflow.execute_activity_method(PolicyActivities.measure_policy, asked, **policies.compute)
        self.enter("measured")
        return MeasurementOutcome((measured,))
