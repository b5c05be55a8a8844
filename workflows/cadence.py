"""Decides, at the pace of its schedule, whether an update starts today, and starts it."""

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from driftline.contracts import CadenceDecision, CadenceInput, DecideDay, FineTuneInput, MeasureDay, RagRefreshInput, RunIds
from driftline.workflows import policies
from driftline.workflows.candidate import nominal_time

with workflow.unsafe.imports_passed_through():
    from driftline.activities.cadence import CadenceActivities


@workflow.defn
class KeepCadence:
    @workflow.run
    async def run(self, request: CadenceInput) -> CadenceDecision:
        """What the day was decided to be. An update that is started goes its own way."""
        nominal, info = nominal_time(request.nominal), workflow.info()
        try:
            measured = await workflow.execute_activity_method(
                CadenceActivities.measure_day, MeasureDay(request.rag_refresh, nominal), **policies.measure
            )
        except ActivityError as error:
            # A day is on record also where the log cannot be read: intervals and people decide then.
            workflow.logger.warning("the day could not be measured: %s", error.cause)
            measured = None
        run = RunIds(info.workflow_id, info.run_id)
        decision = await workflow.execute_activity_method(
            CadenceActivities.decide_day,
            DecideDay(request.cadence, request.rag_refresh, nominal, measured, run, request.rule),
            **policies.record,
        )
        started: FineTuneInput | RagRefreshInput
        if decision.action == "none":
            return decision
        if decision.action == "fine_tune":
            started = replace(request.fine_tune, nominal=nominal)
        else:
            started = replace(request.counts if decision.action == "counts" else request.rag_refresh, nominal=nominal)
        try:
            await workflow.start_child_workflow(
                "FineTune" if decision.action == "fine_tune" else "RagRefresh",
                started,
                id=f"driftline-{decision.action.replace('_', '-')}-{nominal:%Y-%m-%d}",
                task_queue=policies.WORKFLOWS,
                parent_close_policy=ParentClosePolicy.ABANDON,
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("the update of %s is under way already", decision.day)
        return decision
