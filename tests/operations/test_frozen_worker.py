"""Workers that are frozen (SIGSTOP) for longer than Temporal waits for them, while another takes over; then they go on."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
import tomli_w
from temporalio.testing import WorkflowEnvironment

from driftline.activities.artifacts import LocalArtifacts, hash_folder
from driftline.embedded import temporal
from driftline.operations.stack import add_search_attributes
from tests.chaos.pipelines import BROKEN, COUNTS
from tests.end_to_end.commands import Commands
from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.shop import write_shop
from tests.end_to_end.stack import ROOT, Stack

SHORT_POLLS = ["--dynamic-config-value", 'matching.longPollExpirationInterval="5s"']
WRITES = ("counts", "tables", "channels")
"""What a worker is frozen before: the counts of a window, the table, the publication."""
WENT_ON, RUN = "the frozen one went on", "rag-refresh-2024-03-10"
ASKED = (
    "SELECT version, key FROM counts ORDER BY version",
    "SELECT version, mapping_hash FROM transition_table WHERE complete ORDER BY version",
    "SELECT id, to_version FROM publication ORDER BY id",
    BROKEN,
)
PATIENCE = 240.0
FROZEN = f"""
import os, signal, threading
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from temporalio import activity
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from driftline import worker
from driftline.db import channels, counts, tables
from driftline.workflows import policies

policies.compute["heartbeat_timeout"] = timedelta(seconds=12)
for step in (policies.record, policies.store):
    step["start_to_close_timeout"] = timedelta(seconds=12)
worker.Worker = partial(Worker, workflow_runner=UnsandboxedWorkflowRunner())  # the sandbox would load the policies anew

writes = {{"counts": (counts, "add"), "tables": (tables, "add"), "channels": (channels, "publish")}}
if room := os.environ.get("FROZEN_BEFORE"):
    module, name = writes[room]
    write, before, to_its_end = getattr(module, name), [room], ExitStack()

    def frozen(*arguments, **more):
        if before:
            before.pop()
            to_its_end.enter_context(activity.shield_thread_cancel_exception())  # or Temporal's client would cancel the step now
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # all of them, this one first
            print({WENT_ON!r}, flush=True)
        return write(*arguments, **more)

    setattr(module, name, frozen)
worker.main()
"""


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Of a Temporal that soon forgets a poll: a task that it gives to a frozen worker is lost until its time is over."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal.binary(), dev_server_extra_args=SHORT_POLLS
    ) as environment:
        await add_search_attributes(environment.client)
        yield environment.client.service_client.config.target_host


@pytest.fixture
def stack(address: str, postgres_url: str, tmp_path: Path) -> Iterator[Stack]:
    write_shop(tmp_path)
    servers = {"postgres_url": postgres_url, "temporal_address": address}
    (tmp_path / "driftline.toml").write_text(tomli_w.dumps(SETTINGS | servers))
    stack = Stack(tmp_path, commands := Commands())
    (stack.home / "logs").mkdir(parents=True)
    stack("clusters", "import", "taxonomy.csv")
    yield stack
    commands.close()


def start(stack: Stack, before: str) -> "subprocess.Popen[bytes]":
    env = stack.env | {"FROZEN_BEFORE": before, "PYTHONPATH": str(ROOT)}
    with (stack.home / "logs" / "worker.log").open("ab") as log:
        command = [sys.executable, "-c", FROZEN, "--role", "all"]
        return subprocess.Popen(command, cwd=stack.folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def stands(worker: "subprocess.Popen[bytes]") -> bool:
    assert worker.poll() is None
    return bool(psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)


def found(postgres_url: str, stack: Stack) -> tuple[list[object], ...]:
    """Everything that was written, and what of it does not hold."""
    with closing(psycopg.connect(postgres_url)) as connection:
        rows = tuple([*connection.execute(query)] for query in ASKED)
    artifacts = LocalArtifacts(stack.home / "artifacts")
    damaged = [each.uri for each in artifacts.everything() if each.hash and hash_folder(artifacts.place(each.uri)) != each.hash]
    return (*rows, damaged)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_what_a_frozen_worker_writes_when_it_goes_on_is_there_already(stack: Stack, postgres_url: str) -> None:
    stack("run", "rag-refresh", "--at", RUN[-10:], *COUNTS)
    workers = []
    try:
        for room in WRITES:
            workers.append(start(stack, room))
            stack.until(f"the worker to stand still before its {room}", lambda: stands(workers[-1]), PATIENCE)
        second = start(stack, "")
        workers.append(second)
        stack.until("a publication", lambda: found(postgres_url, stack)[2], PATIENCE)
        stack.until("the end", lambda: stack.json("status")["runs"][0]["status"] == "completed", PATIENCE)
        _, tables, publications, broken, damaged = before = found(postgres_url, stack)
        assert (len(tables), len(publications), broken, damaged) == (1, 1, [], [])
        assert all(stands(worker) for worker in workers[:-1])

        log = stack.home / "logs" / "worker.log"
        for number, worker in enumerate(workers[:-1], start=1):
            psutil.Process(worker.pid).resume()
            stack.until("it to go on", lambda number=number: log.read_text().count(WENT_ON) == number, PATIENCE)  # type: ignore[misc]
            worker.terminate()  # it ends when its step has
            assert worker.wait(600) in (0, 1)  # 1: it has found that it had not polled for long
        assert found(postgres_url, stack) == before
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
