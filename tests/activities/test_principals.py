"""Who sent a verdict, by the principal on events made by hand. Those of a real server: `tests/operations/test_principals.py`."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.api.common.v1 import Principal
from temporalio.api.history.v1 import HistoryEvent
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import ActivityEnvironment

from driftline.activities.principals import principal_of
from driftline.contracts import Verdict

ADA = {"gate_id": "g", "decision": "approve", "reviewer": "ada", "reason": "fine"}


class History:
    """What `principal_of` asks of a client."""

    data_converter = pydantic_data_converter

    def __init__(self, *events: HistoryEvent) -> None:
        self.events = events

    def get_workflow_handle(self, *_: Any, **__: Any) -> "History":
        return self

    async def fetch_history_events(self) -> AsyncIterator[HistoryEvent]:
        for event in self.events:
            yield event


def signalled(raw: object, by: str | None, name: str = "verdict", type: str = "jwt") -> HistoryEvent:
    event = HistoryEvent(principal=Principal(type=type, name=by) if by else None)
    event.workflow_execution_signaled_event_attributes.signal_name = name
    payloads = pydantic_data_converter.payload_converter.to_payloads([raw])
    event.workflow_execution_signaled_event_attributes.input.payloads.extend(payloads)
    return event


def updated(raw: object, by: str) -> HistoryEvent:
    event = HistoryEvent(principal=Principal(type="jwt", name=by))
    asked = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
    asked.name = "verdict"
    asked.args.payloads.extend(pydantic_data_converter.payload_converter.to_payloads([raw]))
    return event


def recording() -> HistoryEvent:
    event = HistoryEvent()
    event.activity_task_scheduled_event_attributes.activity_id = ActivityEnvironment().info.activity_id
    return event


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([signalled(ADA, "eve")], "eve"),
        ([updated(ADA, "ada@shop")], "ada@shop"),
        ([signalled(ADA, None)], None),
        ([signalled(ADA, "internal", type="temporal")], None),  # sent by a workflow, whoever that belongs to
        ([signalled(ADA, "early"), signalled(ADA, "ada"), recording(), signalled(ADA, "late")], "ada"),
        ([signalled({**ADA, "reason": "other"}, "eve"), signalled(ADA, "eve", "Verdict"), signalled("approve", "eve")], None),
    ],
)
async def test_the_sender_of_this_verdict(events: list[HistoryEvent], expected: str | None) -> None:
    environment = ActivityEnvironment(client=History(*events))  # type: ignore[arg-type]
    assert await environment.run(principal_of, Verdict("g", "approve", "ada", "fine")) == expected
