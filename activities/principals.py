"""Who really sent a verdict, where the server says so: the principal that it stamps on events of authenticated callers."""

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from driftline.contracts import Verdict, parse_verdict

INTERNAL = "temporal"
"""The type of the principal of Temporal's own services, which send what a workflow or a schedule asked them to."""


async def principal_of(verdict: Verdict) -> str | None:
    """The authenticated sender of a verdict, from the history of the workflow that asks; None where the server stamps nobody."""
    info, client = activity.info(), activity.client()
    assert info.workflow_id is not None
    handle = client.get_workflow_handle(info.workflow_id, run_id=info.workflow_run_id)
    sender = None
    async for event in handle.fetch_history_events():
        if event.activity_task_scheduled_event_attributes.activity_id == info.activity_id:
            break
        if await _carries(client, event, verdict):
            sender = event.principal.name if event.principal.type != INTERNAL else None
    return sender or None


async def _carries(client: Client, event: HistoryEvent, verdict: Verdict) -> bool:
    (payload, *more) = _payloads(event) or (None,)
    if payload is None or more:
        return False
    try:
        (raw,) = await client.data_converter.decode([payload])
    except Exception:  # whatever it is, the workflow took it for no verdict
        return False
    sent = parse_verdict(raw)
    return isinstance(sent, Verdict) and sent == verdict


def _payloads(event: HistoryEvent) -> list[Payload]:
    signal, update = event.workflow_execution_signaled_event_attributes, event.workflow_execution_update_accepted_event_attributes
    if signal.signal_name == "verdict":
        return list(signal.input.payloads)
    if update.accepted_request.input.name == "verdict":
        return list(update.accepted_request.input.args.payloads)
    return []
