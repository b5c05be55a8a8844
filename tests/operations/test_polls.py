"""A worker that polls nothing is noticed: by Temporal's own word, on a real server."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from driftline.embedded import temporal
from driftline.operations import polls
from driftline.operations.polls import Busy, Queue, last_polls, silence
from driftline.system import healthy
from driftline.workflows import policies

ROOT = Path(__file__).parents[2]
QUEUE = policies.DB
ACTIVITIES = Queue(QUEUE, slots=1)
SHORT_POLLS = ["--dynamic-config-value", 'matching.longPollExpirationInterval="1s"']
DEAF = """
import asyncio
from datetime import timedelta
from temporalio.worker import Worker
from driftline import worker
from driftline.operations import polls

polls.SILENT, polls.EVERY, worker.GRACE = timedelta(seconds=3), timedelta(seconds=0.2), timedelta(seconds=1)

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


class Gauges:
    """A meter that remembers what each queue's gauge was last set to."""

    def __init__(self) -> None:
        self.polls: dict[tuple[str, str], int] = {}

    def create_gauge(self, name: str, *_: object) -> "Gauges":
        assert name == polls.POLLS
        return self

    def set(self, value: int, labels: dict[str, str]) -> None:
        self.polls[labels["task_queue"], labels["task_type"]] = value


def found(client: Client, busy: Busy, *queues: Queue, **options: Any) -> "asyncio.Task[Queue]":
    meter = options.pop("meter", Runtime.default().metric_meter)
    return asyncio.create_task(silence(client, queues, busy, meter, client.identity, **options))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.05)


async def test_a_worker_that_stops_polling_is_found_and_one_that_polls_is_not(client: Client) -> None:
    busy = Busy()
    took = {"activities": [wait], "workflows": [Wait], "interceptors": [busy], "max_concurrent_activities": 1}
    async with Worker(client, task_queue=QUEUE, **took):  # type: ignore[arg-type]
        each = {queue: found(client, busy, queue) for queue in (ACTIVITIES, Queue(QUEUE))}
        drains = found(client, busy, *each, draining=lambda: True)
        await asyncio.sleep(1.5 * polls.SILENT.total_seconds())
        assert not any(silent.done() for silent in each.values())
        for queue in each:
            assert client.identity in await last_polls(client, queue)
    for queue, silent in each.items():
        assert await asyncio.wait_for(silent, 60) == queue
    assert not drains.done(), "it was asked to stop, and polls nothing for as long as its activities take"
    drains.cancel()


async def test_a_worker_whose_slots_are_taken_need_not_poll(client: Client) -> None:
    busy = Busy()
    async with (
        Worker(client, task_queue=QUEUE, activities=[wait], interceptors=[busy], max_concurrent_activities=1),
        Worker(client, task_queue="wait", workflows=[Wait]),
    ):
        run = await client.start_workflow(Wait.run, 2.5 * polls.SILENT.total_seconds(), id="wait", task_queue="wait")
        await until(lambda: bool(busy.running[QUEUE]))
        silent = found(client, busy, ACTIVITIES, Queue("wait"))  # whose workflow waits at the worker's own queue
        await asyncio.sleep(1.5 * polls.SILENT.total_seconds())
        assert busy.running[QUEUE] == 1
        assert not silent.done()
        silent.cancel()
        await run.result()


async def test_while_temporal_is_frozen_the_gauge_is_0_and_the_worker_stays(client: Client) -> None:
    port = client.service_client.config.target_host.rpartition(":")[2]
    (server,) = (child for child in psutil.Process().children(recursive=True) if port in child.cmdline())
    busy, gauges = Busy(), Gauges()
    async with Worker(client, task_queue=QUEUE, activities=[wait], workflows=[Wait], interceptors=[busy]):
        silent = found(client, busy, Queue(QUEUE, 100), Queue(QUEUE), meter=gauges)
        await until(lambda: list(gauges.polls.values()) == [1, 1])
        server.suspend()
        try:
            await until(lambda: list(gauges.polls.values()) == [0, 0])
            assert not silent.done()
        finally:
            server.resume()
        await until(lambda: list(gauges.polls.values()) == [1, 1])
        assert not silent.done()
        silent.cancel()


async def test_all_queues_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, six that hang would take six times as long to be noticed."""
    asked = asyncio.Barrier(6)

    async def answers_once_all_are_asked(*_: object) -> dict[str, float]:
        await asked.wait()
        return {"me": 0.0}

    monkeypatch.setattr(polls, "last_polls", answers_once_all_are_asked)
    gauges, queues = Gauges(), [Queue(f"queue {number}") for number in range(6)]
    silent = asyncio.create_task(silence(None, queues, Busy(), gauges, "me"))  # type: ignore[arg-type]
    await until(lambda: list(gauges.polls.values()) == [1] * 6)
    silent.cancel()


@pytest.mark.parametrize("role", ["db", "workflows"])
async def test_a_worker_that_polls_nothing_ends_with_1(client: Client, postgres_url: str, tmp_path: Path, role: str) -> None:
    env = {"DRIFTLINE_HOME": str(tmp_path), "DRIFTLINE_POSTGRES_URL": postgres_url, "DRIFTLINE_DRAIN": "PT1S"}
    env |= {"DRIFTLINE_TEMPORAL_ADDRESS": client.service_client.config.target_host}
    command = [sys.executable, "-c", DEAF, "--role", role]
    done = await asyncio.to_thread(
        subprocess.run, command, env=os.environ | env, cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1
    assert f"this worker has not polled driftline-{role}" in done.stdout + done.stderr


LINE = 'driftline_worker_polls{task_queue="a",task_type="activity"} '


@pytest.mark.parametrize(
    ("metrics", "well"),
    [
        (f"# HELP driftline_worker_polls 1 if …\n{LINE}1\n{LINE}1.0\nother 0\n", True),
        (f"{LINE}1\n{LINE}0\n", False),
        (f"{LINE}0.0\n", False),
        ("other 1\n", False),
    ],
)
def test_a_worker_is_in_order_if_it_polls_every_queue(metrics: str, well: bool) -> None:
    assert healthy.polls(metrics) is well


async def test_what_keeps_containers_is_told(client: Client) -> None:
    """By a worker's real metrics port, and after it by one where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=f"127.0.0.1:{port}")))
    gauge = runtime.metric_meter.create_gauge(polls.POLLS, "")
    for value, code in ((1, 0), (0, 1)):
        gauge.set(value, {"task_queue": QUEUE, "task_type": "activity"})
        assert (await asked_by_docker(port)).returncode == code
    assert "does not answer" in (await asked_by_docker(1)).stderr


async def asked_by_docker(port: int) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"DRIFTLINE_METRICS_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", healthy.__name__]
    return await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=600)
