"""A run tells people what happens to it, and neither waits for that nor minds when it cannot be done."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import (
    BadInput,
    Delivery,
    Event,
    FindModel,
    Gates,
    ModelRef,
    Notification,
    RagRefreshInput,
    Source,
    Tell,
    WatchInput,
    Windows,
)
from driftline.workflows import policies
from tests.workflows.conftest import running
from tests.workflows.steps import BAD, Steps
from tests.workflows.test_review import by_update, verdict, waiting
from tests.workflows.test_runs import FINE_TUNE, NOMINAL, start


def events(steps: Steps) -> list[Event]:
    """What was told, in order; each with a key of its own, by which it is sent once."""
    assert len({each.key for each in steps.told}) == len(steps.told)
    return [each.event for each in steps.told]


async def test_a_publication_is_told(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await handle.result()
    assert events(steps) == ["published"]
    (published,) = steps.told
    assert (published.table, published.channel, published.review_id) == (11, "default", None)
    assert published.run
    assert published.run.workflow_id == handle.id


async def test_a_review_is_told_when_it_opens_while_it_waits_and_when_it_ends(time_skipping: WorkflowEnvironment) -> None:
    gates = Gates(remind_every=timedelta(days=3), expire_after=timedelta(days=7))
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, replace(FINE_TUNE, gates=gates))
        assert (await handle.result()).outcome == "expired"
    assert events(steps) == ["review_opened", "review_reminder", "review_reminder", "expired"]
    opened, first, second, _ = steps.told
    assert opened.review_id == first.review_id == second.review_id is not None


@pytest.mark.parametrize("decision", ["approve", "abort"])
async def test_how_a_review_ended_is_told(time_skipping: WorkflowEnvironment, decision: str) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await by_update(handle, verdict((await waiting(handle)).review_id, decision))
        await handle.result()
    assert events(steps) == ["review_opened", "published" if decision == "approve" else "aborted"]
    assert steps.told[-1].review_id


async def test_a_failure_is_told_with_its_reason(time_skipping: WorkflowEnvironment) -> None:
    @activity.defn
    async def newest_approved(request: FindModel) -> ModelRef:
        raise BadInput("no approved model yet: run `driftline run fine-tune` first")

    steps = Steps(real=[newest_approved])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, RagRefreshInput(Source(), Windows(28, 7), nominal=NOMINAL))
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert events(steps) == ["run_failed"]
    assert "no approved model yet" in steps.told[0].why


async def test_whoever_cancels_a_run_is_told_nothing(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await waiting(handle)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert events(steps) == ["review_opened"]


async def test_a_run_does_not_fail_for_a_message_that_cannot_be_sent(time_skipping: WorkflowEnvironment) -> None:
    @activity.defn
    async def tell(request: Tell) -> None:
        raise RuntimeError("Temporal is busy")

    steps = Steps(real=[tell], evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await by_update(handle, verdict((await waiting(handle)).review_id))
        assert (await handle.result()).outcome == "published"
        history = await handle.fetch_history()
    began, ended = history.events[0].event_time, history.events[-1].event_time
    assert ended.seconds - began.seconds < 180, "a minute for each of the two messages, and no more"


async def send(environment: WorkflowEnvironment, told: Notification) -> list[Delivery]:
    made: list[Delivery] = await environment.client.execute_workflow(
        "SendNotification", told, id=uuid4().hex, task_queue=policies.NOTIFY, result_type=list[Delivery]
    )
    return made


@pytest.mark.parametrize(
    ("event", "attempts", "state"), [("published", 3, "sent"), ("test", 1, "failed")], ids=["retried", "a test is not"]
)
async def test_a_target_that_fails_is_tried_again(
    time_skipping: WorkflowEnvironment, event: Event, attempts: int, state: str
) -> None:
    failed, sent = [Delivery("ops", "failed", "refused")], [Delivery("ops", "sent", "sent")]
    steps = Steps(targets=[failed, failed, sent])
    async with running(time_skipping, steps):
        made = await send(time_skipping, Notification(event, "key"))
    assert (len(steps.told), made[0].state) == (attempts, state)


async def test_a_target_that_always_fails_is_given_up(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(targets=[[Delivery("ops", "failed", "refused")]])
    async with running(time_skipping, steps):
        made = await send(time_skipping, Notification("published", "key"))
    assert (len(steps.told), made[0].state) == (5, "failed")


async def test_the_watch_tells_what_it_finds(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(due=[Notification("table_old", "table_old:default:7:1"), Notification("start_skipped", "start_skipped:x:1")])
    async with running(time_skipping, steps):
        arguments: dict[str, Any] = {"id": uuid4().hex, "task_queue": policies.NOTIFY}
        assert await time_skipping.client.execute_workflow("Watch", WatchInput(("x",)), **arguments) == 2
    assert events(steps) == ["table_old", "start_skipped"]
