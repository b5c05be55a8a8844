"""What one channel serves is published on another: by a person's verdict, whatever the gates said."""

from temporalio import workflow

from driftline.contracts import FindShipped, RunOutcome, ShipInput, TableRef
from driftline.workflows import policies
from driftline.workflows.candidate import CandidateWorkflow

with workflow.unsafe.imports_passed_through():
    from driftline.activities.experiments import ExperimentActivities


@workflow.defn
class ShipTable(CandidateWorkflow):
    @workflow.run
    async def run(self, request: ShipInput) -> RunOutcome:
        async with self.tells_failure(request.channel):
            while True:
                self.enter("evaluating")
                wanted = FindShipped(request.experiment, request.from_channel)
                found = await workflow.execute_activity_method(ExperimentActivities.find_shipped, wanted, **policies.record)
                self.kind = found.kind
                table = TableRef(found.table, found.rows)
                outcome = await self.decide(table, found.model, found.evaluation, request.gates, request.channel, always=True)
                if outcome is not None:  # else a reviewer asks to look again at what the channel serves
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    return outcome
