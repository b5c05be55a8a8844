"""A worker that polls nothing is noticed: by Temporal's own word, on a real server."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from driftline.embedded import temporal
from driftline.operations import polls
from driftline.operations.polls import Busy, last_polls, silence
from driftline.workflows import policies

ROOT = Path(__file__).parents[2]
QUEUE = policies.DB
SHORT_POLLS = ["--dynamic-config-value", 'matching.longPollExpirationInterval="1s"']
DEAF = """
import asyncio
from datetime import timedelta
from temporalio.worker import Worker
from driftline import worker
from driftline.operations import polls

polls.SILENT, polls.EVERY = timedelta(seconds=3), timedelta(seconds=0.2)

async def deaf(self):
    await asyncio.Event().wait()

async def gone(self):
    pass

Worker.run, Worker.shutdown = deaf, gone
worker.main()
"""


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal.binary(), dev_server_extra_args=SHORT_POLLS
    ) as environment:
        yield environment.client


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "SILENT", timedelta(seconds=4))
    monkeypatch.setattr(polls, "EVERY", timedelta(seconds=0.2))


@activity.defn
async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


@workflow.defn(sandboxed=False)
class Wait:
    @workflow.run
    async def run(self, seconds: float) -> None:
        await workflow.execute_activity(wait, seconds, task_queue=QUEUE, start_to_close_timeout=timedelta(minutes=5))


def found(client: Client, busy: Busy, slots: int = 1) -> "asyncio.Task[str]":
    return asyncio.create_task(silence(client, {QUEUE: slots}, busy, Runtime.default().metric_meter, client.identity))


async def test_a_worker_that_stops_polling_is_found_and_one_that_polls_is_not(client: Client) -> None:
    busy = Busy()
    async with Worker(client, task_queue=QUEUE, activities=[wait], interceptors=[busy], max_concurrent_activities=1):
        silent = found(client, busy)
        await asyncio.sleep(1.5 * polls.SILENT.total_seconds())
        assert not silent.done()
        assert client.identity in await last_polls(client, QUEUE)
    assert await asyncio.wait_for(silent, 60) == QUEUE


async def test_a_worker_whose_slots_are_taken_need_not_poll(client: Client) -> None:
    busy = Busy()
    async with (
        Worker(client, task_queue=QUEUE, activities=[wait], interceptors=[busy], max_concurrent_activities=1),
        Worker(client, task_queue="wait", workflows=[Wait]),
    ):
        run = await client.start_workflow(Wait.run, 2.5 * polls.SILENT.total_seconds(), id="wait", task_queue="wait")
        while not busy.running[QUEUE]:
            await asyncio.sleep(0.1)
        silent = found(client, busy)
        await asyncio.sleep(1.5 * polls.SILENT.total_seconds())
        assert busy.running[QUEUE] == 1
        assert not silent.done()
        silent.cancel()
        await run.result()


async def test_a_worker_that_polls_nothing_ends_with_1(client: Client, postgres_url: str, tmp_path: Path) -> None:
    env = {"DRIFTLINE_HOME": str(tmp_path), "DRIFTLINE_POSTGRES_URL": postgres_url}
    env |= {"DRIFTLINE_TEMPORAL_ADDRESS": client.service_client.config.target_host}
    command = [sys.executable, "-c", DEAF, "--role", "db"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=os.environ | env, cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1
    assert f"this worker has not polled {QUEUE}" in done.stdout + done.stderr
