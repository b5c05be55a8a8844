"""Messages through a real Temporal: from a run that waits to the web hook, and from the schedules' counters."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import ScheduleOverlapPolicy
from temporalio.worker import Worker
from typer.testing import CliRunner

from driftline import cli
from driftline.activities.notifications import NotificationActivities
from driftline.activities.publication import PublicationActivities
from driftline.activities.resources import Resources
from driftline.activities.reviews import ReviewActivities
from driftline.contracts import Notify, Target, WatchInput
from driftline.operations import notifications, schedules, verdicts
from driftline.operations.context import Unreachable
from driftline.workflows import policies
from tests.activities.hooks import Hook, hook
from tests.operations.test_reviews import STOPPED, Shop, shop
from tests.workflows.conftest import NOTIFYING, running
from tests.workflows.steps import Steps

__all__ = ["shop"]
SECRET = "token-s3cret"


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with hook() as listening:
        monkeypatch.setenv("HOOK_URL", listening.url(SECRET))
        yield listening


@asynccontextmanager
async def working(shop: Shop, notify: Notify | None = None) -> AsyncIterator[Steps]:
    """The real activities of reviews, publications and notifications; the rest are stand-ins."""
    about: dict[str, Any] = {"notify": notify or Notify({"ops": Target("${HOOK_URL}")}), "web_url": "https://shop.example"}
    resources = Resources(shop.context.engine, shop.folder, **about)
    acts, told = ReviewActivities(resources), NotificationActivities(resources)
    real: list[Any] = [acts.open_review, acts.record_verdict, acts.expire_review, acts.closed_review, acts.supersede]
    real += [PublicationActivities(resources).publish, told.tell, told.notify, told.look_out]
    steps = Steps(evaluations=[STOPPED], tables=list(shop.tables), real=real)
    async with running(shop.environment, steps):
        yield steps


async def titles(it: Hook, n: int) -> list[str]:
    """Of what has arrived, once it is as much as expected."""
    for _ in range(400):
        if len(it.got) >= n:
            break
        await asyncio.sleep(0.05)
    return [sent["title"] for _, sent in it.got]


async def test_from_the_message_to_the_decision(shop: Shop, it: Hook) -> None:
    async with working(shop):
        handle = await shop.refresh()
        review = await shop.opened(handle)
        assert await titles(it, 1) == [f"Driftline: Table {review.candidate} waits for your verdict"]
        assert f"Decide: https://shop.example/reviews/{review.review_id}" in it.got[0][1]["message"]
        assert (await verdicts.submit(shop.context, review, "approve", "ada", "looked at it")).accepted
        assert (await handle.result()).outcome == "published"
        assert (await titles(it, 2))[1] == f"Driftline: Table {review.candidate} is published on default"
    history = (await handle.fetch_history()).to_json()
    assert SECRET not in history + json.dumps(notifications.newest(shop.context, 9), default=str)
    assert "HOOK_URL" not in history


async def test_skipped_starts_are_told_once(shop: Shop, it: Hook) -> None:
    client = shop.environment.client
    await schedules.apply(shop.context)
    try:
        handle = client.get_schedule_handle(schedules.FINE_TUNE)
        await handle.trigger()  # no worker takes it: it stays open
        for _ in range(1000):
            if running_now := (await handle.describe()).info.running_actions:
                break
            await asyncio.sleep(0.05)
        await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
        for _ in range(1000):
            if (await handle.describe()).info.num_actions_skipped_overlap:
                break
            await asyncio.sleep(0.05)
        told = NotificationActivities(Resources(shop.context.engine, shop.folder, notify=Notify({"ops": Target("${HOOK_URL}")})))
        tasks: dict[str, Any] = {"activities": [told.tell, told.notify, told.look_out], "workflows": NOTIFYING}
        with ThreadPoolExecutor(2) as threads:
            async with (
                Worker(client, task_queue=policies.NOTIFY, activity_executor=threads, **tasks),
                Worker(client, task_queue=policies.DB, activities=[told.tell]),
            ):
                for _ in range(2):
                    await client.get_schedule_handle(schedules.WATCH).trigger()
                    assert "Driftline: A start was skipped" in await titles(it, 1)
                    await asyncio.sleep(1)
        said = [sent["message"] for _, sent in it.got if "skipped" in sent["title"]]
        assert len(said) == 1
        assert "driftline-fine-tune skipped 1" in said[0]
        await client.get_workflow_handle(running_now[0].workflow_id).terminate()  # type: ignore[attr-defined]
    finally:
        for name in (schedules.FINE_TUNE, schedules.RAG_REFRESH, schedules.WATCH):
            await client.get_schedule_handle(name).delete()


@pytest.mark.parametrize("kind", ["RagRefresh", "KeepCadence", "RunExperiment"])
async def test_a_run_that_ended_without_a_word_is_noticed(shop: Shop, kind: str) -> None:
    """It ran out of time: nothing of it was left to tell anybody."""
    client, name = shop.environment.client, uuid4().hex
    limit = timedelta(milliseconds=500)
    run = await client.start_workflow(kind, id=name, task_queue="nobody-polls-this", run_timeout=limit)
    acts = NotificationActivities(Resources(shop.context.engine, shop.folder))
    looking: dict[str, Any] = {"activities": [acts.look_out, acts.notify, acts.tell], "workflows": NOTIFYING}
    watch: dict[str, Any] = {"task_queue": policies.NOTIFY, "id": f"watch-{name}"}
    expected = f"run_failed:{name}:{run.first_execution_run_id}"
    with ThreadPoolExecutor(2) as threads:
        async with (
            Worker(client, task_queue=policies.NOTIFY, activity_executor=threads, **looking),
            Worker(client, task_queue=policies.DB, activities=[acts.tell]),
        ):
            for _ in range(1000):  # Temporal's lists are a moment behind
                await client.execute_workflow("Watch", WatchInput(()), **watch)
                told = [flow.id async for flow in client.list_workflows(f"WorkflowId = 'notify-{expected}'")]
                if told:
                    break
                await asyncio.sleep(0.1)
    assert told == [f"notify-{expected}"]


@pytest.mark.parametrize("answer", ["take", "refuse"])
async def test_every_target_is_tried_and_says_what_it_answered(
    shop: Shop, it: Hook, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    settings = shop.context.settings
    for name in ("postgres_url", "temporal_address", "home"):
        monkeypatch.setenv(f"DRIFTLINE_{name.upper()}", str(getattr(settings, name)))
    it.answer = answer
    async with working(shop, Notify({"ops": Target("${HOOK_URL}", level="failure"), "gone": Target("${NOT_SET}")})):
        tried = await asyncio.to_thread(CliRunner().invoke, cli.app, ["notify", "test", "--json"])
    assert tried.exit_code == 1, tried.output  # `gone` has no address
    found = {made["target"]: (made["state"], made["said"]) for made in json.loads(tried.stdout)}
    assert found["gone"] == ("failed", "its variable is not set where the worker runs")
    assert found["ops"] == (("sent", "sent") if answer == "take" else ("failed", "refused with HTTP 503"))
    assert SECRET not in tried.output


async def test_no_worker_is_said_to_be_missing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "ANSWER_SECONDS", 1.0)
    with pytest.raises(Unreachable, match="no worker of the role `notify` answered"):
        await notifications.test(shop.context)
