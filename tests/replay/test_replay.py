"""Runs that began with an older version of a workflow go on with today's: every recorded history replays (design §4)."""

import getpass
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from driftline.workflows.build_clusters import BuildClusters
from tests.workflows.conftest import NOTIFYING, WORKFLOWS

ALL = [*WORKFLOWS, *NOTIFYING, BuildClusters]

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


async def replay(text: str) -> None:
    """In the sandbox, with the converter of the workers, under its own id: a gate's name depends on it."""
    began = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    replayer = Replayer(workflows=ALL, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(WorkflowHistory.from_json(began["workflowId"], text))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_run_replays(path: Path) -> None:
    await replay(path.read_text())


def test_what_is_recorded_is_worth_replaying() -> None:
    kinds = {event["eventType"].removeprefix("EVENT_TYPE_") for path in HISTORIES for event in events(path)}
    assert kinds >= {
        *("WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_EXECUTION_UPDATE_COMPLETED", "TIMER_FIRED", "TIMER_CANCELED"),
        *("ACTIVITY_TASK_COMPLETED", "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", "WORKFLOW_EXECUTION_COMPLETED"),
    }
    workflows = {events(path)[0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"] for path in HISTORIES}
    assert workflows == {workflow._Definition.must_from_class(one).name for one in ALL}


@pytest.mark.parametrize(("old", "new"), [('"name": "train"', '"name": "distil"'), ('"name": "evaluate"', '"name": "judge"')])
async def test_a_step_that_was_another_one_is_noticed(old: str, new: str) -> None:
    (path,) = (path for path in HISTORIES if path.stem == "fine_tune")
    text = path.read_text()
    assert old in text
    with pytest.raises(NondeterminismError):
        await replay(text.replace(old, new))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_names_nothing_of_the_machine_it_was_made_on(path: Path) -> None:
    text = path.read_text()
    assert "/tmp/" not in text
    assert "site-packages" not in text, "a stack trace"
    assert "/home/" not in text
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert f'"{getpass.getuser()}"' not in text
    assert {event.get("identity") for event in map(attributes_of, events(path))} <= {None, "", "recorder", "history-service"}


def events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["events"]
    return found


def attributes_of(event: dict[str, Any]) -> dict[str, Any]:
    return next((value for key, value in event.items() if key.endswith("EventAttributes") and isinstance(value, dict)), {})
