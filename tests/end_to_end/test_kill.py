"""The worker is killed, and asked to stop, in mid-training and in mid-mapping: what was finished is never done again."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.runtime import Runtime

from driftline import embedded, temporal_client
from driftline.settings import Settings
from tests.end_to_end.stack import ROOT, Stack

ALWAYS = ("--wait", "--json", "--set", "gates.review=always", "--set", "channel=kill")
TRAIN = ("run", "fine-tune", *ALWAYS, "--at", "2024-03-28")
LONG = ("steps=2000", "batch_size=1", "checkpoint_every=20", "validate_every=1000", "patience=99")
TRAIN_LONG = tuple(word for knob in LONG for word in ("--set", f"training.{knob}"))
MAP = ("run", "rag-refresh", *ALWAYS, "--at", "2024-04-03", "--set", "generation.batch_size=1")

Written = set[tuple[Path, int, int]]


def newest_checkpoint(stack: Stack) -> int:
    """The step of the newest complete checkpoint; 0 without one."""
    found = stack.home.glob("work/train-*/step-*/manifest.json")
    return max((int(manifest.parent.name.removeprefix("step-")) for manifest in found), default=0)


def blocks(stack: Stack) -> Written:
    """Finished blocks, each with its inode and the time it was written (ns)."""
    written: Written = set()
    for block in stack.home.glob("work/mapping-*/blocks-*/[0-9]*.parquet"):
        with suppress(FileNotFoundError):
            written.add((block, block.stat().st_ino, block.stat().st_mtime_ns))
    return written


def resumed(stack: Stack) -> list[int]:
    """After which steps training went on, attempt by attempt, as the child says in its log."""
    logs = [log.read_text() for log in stack.home.glob("work/train-*/child.log")]
    return [int(step) for log in logs for step in re.findall(r"goes on after step (\d+)", log)]


async def ended_by(stack: Stack) -> str:
    """The type of the error that ended the last attempt of the training that runs now; nothing, if it was a missed heartbeat."""
    address = embedded.status(stack.home).temporal_address
    client = await temporal_client.connect(Settings(temporal_address=address), Runtime.default())
    found = await client.get_workflow_handle("fine-tune-2024-03-28").describe()
    (step,) = found.raw_description.pending_activities
    return str(step.last_failure.application_failure_info.type)


def finished(process: "subprocess.Popen[str]", stack: Stack) -> None:
    """The followed run got to its review, whatever happened to the worker meanwhile."""
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 3, f"{out}\n{errors}\n{stack.logs()}"


def own_worker(stack: Stack) -> "subprocess.Popen[bytes]":
    """A worker that is this test's child, so that its exit code can be seen."""
    with (stack.home / "logs" / "worker.log").open("ab") as log:
        command = [sys.executable, str(ROOT / "worker.py"), "--role", "all"]
        return subprocess.Popen(command, cwd=stack.folder, env=stack.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


@pytest.fixture
def runs(stack: Stack, fine_tuned: Any) -> Iterator[list["subprocess.Popen[str]"]]:
    """Commands that follow a run; what still waits for review afterwards is aborted."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()
    stack("up")
    for gate in stack.json("review", "list"):
        stack("review", "abort", gate["gate_id"], "--as", "test")


@pytest.mark.timeout(1200)
@pytest.mark.long
def test_kill_and_drain_lose_nothing_that_was_finished(stack: Stack, runs: list["subprocess.Popen[str]"]) -> None:
    training = stack.start(*TRAIN, *TRAIN_LONG)
    runs.append(training)
    stack.until("a checkpoint", lambda: newest_checkpoint(stack))
    mapping = stack.start(*MAP)
    runs.append(mapping)
    stack.until("a finished block", lambda: blocks(stack))

    # kill -9, with both children at work
    worker = stack.worker()
    children = worker.children()
    assert {"driftline.engines.train", "driftline.engines.generate"} <= {word for child in children for word in child.cmdline()}
    worker.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, "children outlive their worker"
    checkpoint, done = newest_checkpoint(stack), blocks(stack)
    assert checkpoint
    assert 0 < len(done) < 8

    second = own_worker(stack)
    try:
        seen = set(done)
        while mapping.poll() is None:  # look often: the blocks go when the mapping is complete
            seen |= blocks(stack)
            time.sleep(0.02)
        finished(mapping, stack)
        assert len(seen) > len(done)
        assert len({block for block, *_ in seen}) == len(seen), "a finished block was written again"
        stack.until("training to go on", lambda: resumed(stack))
        assert resumed(stack) == [checkpoint]

        # SIGTERM, as a deploy does
        stack.until("new checkpoints", lambda: newest_checkpoint(stack) > checkpoint + 40)
        second.terminate()
        assert second.wait(120) == 0, stack.logs()
        drained = newest_checkpoint(stack)
    finally:
        second.kill()
    stack("up")
    stack.until("training to go on after the drain", lambda: len(resumed(stack)) == 2)
    assert resumed(stack) == [checkpoint, drained]
    assert asyncio.run(ended_by(stack)) == "Preempted", "it waited for a heartbeat to be missed"
    finished(training, stack)
