"""`temporal workflow reset`, as an operator does it."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

from driftline.contracts import RunOutcome
from tests.workflows.test_runs import Handle


async def reset(client: Client, handle: Handle, step: str) -> Handle:
    """Begin the run anew behind the end of its newest step of this name; returns the new run."""
    events = [event async for event in handle.fetch_history_events()]
    asked = max(
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_type.name == step
        and event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    )
    ended = next(event.event_id for event in events if event.activity_task_completed_event_attributes.scheduled_event_id == asked)
    completed = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    behind = next(event.event_id for event in events if event.event_id > ended and event.event_type == completed)
    description = await handle.describe()
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=description.run_id),
        reason="a test",
        workflow_task_finish_event_id=behind,
        request_id=f"reset-{description.run_id}",
    )
    await client.workflow_service.reset_workflow_execution(request)
    return client.get_workflow_handle(handle.id, result_type=RunOutcome)
