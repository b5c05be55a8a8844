"""Supervision of a real child process: what it says, every way it can end, and every way its supervisor can (design §4)."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from driftline.activities import child
from driftline.contracts import Children, Progress
from tests.activities.actor import Part

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _beats_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "BEAT_EVERY", 0.05)


@pytest.fixture
def env() -> ActivityEnvironment:
    return ActivityEnvironment()


def act(env: ActivityEnvironment, what: str, folder: Path, stall_after: float = 600, grace: float = 25) -> "asyncio.Task[None]":
    """The last two are seconds."""
    part, children = Part(what, str(folder)), Children(timedelta(seconds=stall_after), timedelta(seconds=grace))
    return asyncio.ensure_future(env.run(child.run_child, "tests.activities.actor", part, folder, folder / "home", children))


async def until(seen: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def pid(folder: Path) -> int:
    return int((folder / "pid").read_text())


async def started(folder: Path) -> int:
    await until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    return pid(folder)


def gone(process: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    return True


async def failure(run: "asyncio.Task[None]") -> ApplicationError:
    with pytest.raises(ApplicationError) as raised:
        await run
    return raised.value


async def test_progress_becomes_heartbeats_and_the_job_file_stays_for_whoever_looks(
    env: ActivityEnvironment, tmp_path: Path
) -> None:
    beats: list[Progress] = []
    env.on_heartbeat = lambda *details: beats.append(details[0])
    await act(env, "progress", tmp_path)
    assert beats[0].done == 0
    steps = [beat for beat in beats if beat.stage == "training"]
    assert steps
    assert {(step.total, step.note) for step in steps} == {(3, f"home {tmp_path / 'home'}")}
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert '"act": "progress"' in (tmp_path / "job.json").read_text()


async def test_bad_input_is_not_retried_and_carries_what_the_child_said(env: ActivityEnvironment, tmp_path: Path) -> None:
    error = await failure(act(env, "refuse", tmp_path))
    assert (error.type, error.non_retryable) == ("BadInput", True)
    assert error.message == "the window is empty: choose another"
    log = (tmp_path / "child.log").read_text()
    assert "Traceback" in log
    assert log.endswith("a library says goodbye\n")


async def test_bad_input_without_a_word_is_a_fault(env: ActivityEnvironment, tmp_path: Path) -> None:
    error = await failure(act(env, "misuse", tmp_path))
    assert (error.type, error.non_retryable) == ("ChildFailed", False)


async def test_long_lines_stop_nothing(env: ActivityEnvironment, tmp_path: Path) -> None:
    beats: list[Progress] = []
    env.on_heartbeat = lambda *details: beats.append(details[0])
    await act(env, "roar", tmp_path)
    assert {beat.done for beat in beats if beat.stage == "training"} & {1, 2, 3}
    assert len((tmp_path / "child.log").read_text()) > 1_000_000


async def test_folders_of_the_working_directory_are_not_taken_for_ours(
    env: ActivityEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "a project"
    for name in ("driftline", "engines", "contracts", "tests", "json"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text("raise SystemExit('this is the user's own')")
    monkeypatch.chdir(project)
    await act(env, "progress", tmp_path)


async def test_a_crash_is_retried_and_carries_the_end_of_the_log(env: ActivityEnvironment, tmp_path: Path) -> None:
    error = await failure(act(env, "crash", tmp_path))
    assert (error.type, error.non_retryable) == ("ChildFailed", False)
    assert "ended with 7" in error.message
    assert "about to fall" in error.message


@pytest.mark.parametrize(
    ("act_", "said"), [("killed", "for want of memory: give the worker more.* about to fall"), ("hoard", "MemoryError")]
)
async def test_a_child_that_gets_no_memory_is_retried_and_says_so(
    env: ActivityEnvironment, tmp_path: Path, act_: str, said: str
) -> None:
    """The kernel kills it, or gives it no more (`RLIMIT_AS`)."""
    error = await failure(act(env, act_, tmp_path))
    assert (error.type, error.non_retryable) == ("ChildFailed", False)
    assert re.search(said, error.message.splitlines()[0])


async def test_a_child_whose_steps_stop_coming_is_killed_though_it_still_talks(env: ActivityEnvironment, tmp_path: Path) -> None:
    error = await failure(act(env, "hang", tmp_path, stall_after=1.5))
    assert (error.type, error.non_retryable) == ("Stalled", False)
    assert gone(pid(tmp_path))


async def test_steps_that_come_keep_a_child_alive_past_the_stall_limit(env: ActivityEnvironment, tmp_path: Path) -> None:
    run = act(env, "work", tmp_path, stall_after=1.5)
    await started(tmp_path)
    await asyncio.sleep(3)
    assert not run.done()
    env.cancel()
    await asyncio.wait([run])


async def test_loading_is_progress_as_long_as_it_computes(env: ActivityEnvironment, tmp_path: Path) -> None:
    """Work in one call, longer than the limit, and then nothing at all."""
    error = await failure(act(env, "load", tmp_path, stall_after=5))
    assert error.type == "Stalled"
    assert (tmp_path / "loaded").exists()
    assert gone(pid(tmp_path))


async def test_jobs_on_one_gpu_take_turns(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    runs = [
        ActivityEnvironment().run(
            child.run_child, "tests.activities.actor", Part("turns", str(folder)), folder, tmp_path / "home", Children()
        )
        for folder in folders
    ]
    await asyncio.gather(*runs)
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 2


async def test_a_cancelled_child_checkpoints_first(env: ActivityEnvironment, tmp_path: Path) -> None:
    run = act(env, "work", tmp_path)
    process = await started(tmp_path)
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (tmp_path / "checkpoint").exists()
    assert gone(process)


async def test_a_worker_that_drains_lets_the_child_checkpoint_and_hands_the_step_back(
    env: ActivityEnvironment, tmp_path: Path
) -> None:
    run = act(env, "work", tmp_path)
    process = await started(tmp_path)
    env.worker_shutdown()
    error = await failure(run)
    assert (error.type, error.non_retryable) == ("Preempted", False)
    assert (tmp_path / "checkpoint").exists()
    assert gone(process)


async def test_a_child_that_something_else_stops_is_preempted_too(env: ActivityEnvironment, tmp_path: Path) -> None:
    run = act(env, "work", tmp_path)
    os.kill(await started(tmp_path), signal.SIGTERM)
    assert (await failure(run)).type == "Preempted"


async def test_a_child_that_does_not_stop_when_asked_is_killed(env: ActivityEnvironment, tmp_path: Path) -> None:
    run = act(env, "hang", tmp_path, grace=0.5)
    process = await started(tmp_path)
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert gone(process)


async def test_a_second_attempt_while_the_first_still_works_is_turned_away(env: ActivityEnvironment, tmp_path: Path) -> None:
    first = act(env, "work", tmp_path)
    process = await started(tmp_path)
    error = await failure(act(ActivityEnvironment(), "work", tmp_path))
    assert (error.type, error.non_retryable) == ("Busy", False)
    assert not gone(process)
    env.cancel()
    await asyncio.wait([first])
    await act(ActivityEnvironment(), "progress", tmp_path)  # free again


async def test_a_child_that_outlives_its_attempt_still_keeps_others_out(env: ActivityEnvironment, tmp_path: Path) -> None:
    given_up = act(env, "hang", tmp_path)
    process = await started(tmp_path)
    env.cancel()
    await asyncio.sleep(0.2)
    given_up.cancel()  # nobody waits any longer for the child to stop
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert not gone(process)
    error = await failure(act(ActivityEnvironment(), "work", tmp_path))
    assert error.type == "Busy"
    os.kill(process, signal.SIGKILL)
    await until(lambda: gone(process))


async def test_a_killed_supervisor_takes_its_child_along(tmp_path: Path) -> None:
    supervisor = f"""
import asyncio
from pathlib import Path
from temporalio.testing import ActivityEnvironment
from driftline.activities.child import run_child
from driftline.contracts import Children
from tests.activities.actor import Part
folder = Path({str(tmp_path)!r})
part = Part("silent", str(folder))
asyncio.run(ActivityEnvironment().run(run_child, "tests.activities.actor", part, folder, folder, Children()))
"""
    with subprocess.Popen([sys.executable, "-c", supervisor], cwd=ROOT) as process:
        child_pid = await started(tmp_path)
        assert not gone(child_pid)
        process.kill()
    await until(lambda: gone(child_pid))
