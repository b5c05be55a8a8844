"""Supervises the heavy machines: one child process `python -m driftline.engines.…` per step (design §4).

A pool of processes as activity executor goes down with the first child that dies; a child of one's own can be watched, asked to
checkpoint, killed and started again.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

import driftline
from driftline.contracts import Children, Progress
from driftline.contracts.children import BAD_INPUT, CHECK_MEMORY, REFUSAL, STOPPED

BEAT_EVERY = 5.0
INSTALL = "`pip install 'driftline[engines]'`"
LESS = "give the worker more, or lower training.batch_size or generation.batch_size"
LONGEST = 1 << 16
"""Bytes of a line that are looked at."""

_root = Path(str(driftline.__file__)).resolve().parent.parent
_progress = TypeAdapter(Progress)


async def run_child(module: str, job: Any, work: Path, home: Path, children: Children) -> None:
    """Run `python -m module job.json` to its end, relaying its progress as heartbeats.

    Args:
        module: an entry of `engines/`.
        job: the job dataclass of that entry.
        work: folder of this job: job file, log and lock; the same after a retry.
        home: the state folder, for converted weights.
        children: when it counts as hung, how long it may checkpoint, and whether it asks for its memory first.

    Raises:
        ApplicationError: `BadInput` (not retried), `Preempted` (it checkpointed for a shutdown), `Stalled`, `ChildFailed`.
        asyncio.CancelledError: the activity was cancelled; the child was asked to checkpoint first.
    """
    if find_spec("torch") is None:
        raise ApplicationError(f"{module} needs torch on this worker: {INSTALL}", type="BadInput", non_retryable=True)
    job_file = work / "job.json"
    environment = os.environ | {"DRIFTLINE_HOME": str(home), "DRIFTLINE_PARENT_PID": str(os.getpid())}
    environment[CHECK_MEMORY] = str(children.check_memory).lower()
    # Not the working directory, which may have a folder `engines` of its own.
    environment["PYTHONSAFEPATH"] = "1"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_root), environment.get("PYTHONPATH")]))
    with _only_one(work) as lock:
        job_file.write_bytes(TypeAdapter(type(job)).dump_json(job, indent=2))
        # From the event loop's thread, which is the main thread: PR_SET_PDEATHSIG follows the thread that forked.
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, str(job_file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,
        )
        watch = _Watch(module, children.stall_after.total_seconds())
        grace = children.grace.total_seconds()
        readers = [
            asyncio.create_task(watch.read_progress(child.stdout)),
            asyncio.create_task(watch.read_log(child.stderr, work)),
        ]
        guards = [asyncio.create_task(watch.beat_until_stalled()), asyncio.create_task(activity.wait_for_worker_shutdown())]
        ended = asyncio.create_task(child.wait())
        try:
            await asyncio.wait([ended, *guards], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await _stop(child, ended, 0 if guards[0].done() else grace)
            await asyncio.gather(*readers)
            watch.raise_for(child.returncode, stalled=guards[0].done(), shutdown=guards[1].done())
        finally:
            if not ended.done():
                await asyncio.shield(_stop(child, ended, grace))
            for task in (*readers, *guards):
                task.cancel()


class _Watch:
    """What is known of a running child: its newest progress, when that last moved, and the end of its log."""

    def __init__(self, module: str, stall_after: float) -> None:
        self.module, self.stall_after = module, stall_after
        self.progress = Progress(f"loading {module.rpartition('.')[2]}", 0, 0)
        self.moved_at = time.monotonic()
        self.tail: deque[str] = deque(maxlen=20)
        self.refusal: str | None = None
        """What a child that refuses its input has to say."""

    async def read_progress(self, stdout: asyncio.StreamReader | None) -> None:
        assert stdout is not None
        async for line in _lines(stdout):
            try:
                progress = _progress.validate_json(line)
            except ValidationError:
                self.tail.append(line)
                continue
            if progress != self.progress:  # the note, too: validation makes no step
                self.moved_at = time.monotonic()
            self.progress = progress

    async def read_log(self, stderr: asyncio.StreamReader | None, work: Path) -> None:
        assert stderr is not None
        with (work / "child.log").open("ab") as log:
            async for line in _lines(stderr, log):
                if line.startswith(REFUSAL):
                    self.refusal = self.refusal or line.removeprefix(REFUSAL)
                elif line.strip():
                    self.tail.append(line)

    async def beat_until_stalled(self) -> None:
        while time.monotonic() - self.moved_at < self.stall_after:
            activity.heartbeat(self.progress)
            await asyncio.sleep(BEAT_EVERY)

    def raise_for(self, code: int | None, stalled: bool, shutdown: bool) -> None:
        if code == 0:
            return
        if code == BAD_INPUT and self.refusal is not None:
            raise ApplicationError(self.refusal, type="BadInput", non_retryable=True)
        if code == STOPPED or shutdown:
            raise ApplicationError(f"{self.module} stopped for the worker's shutdown", type="Preempted")
        if stalled:
            raise ApplicationError(f"{self.module} made no step for {self.stall_after:.0f} s and was killed", type="Stalled")
        last = self.tail[-1] if self.tail else "it said nothing"
        raise ApplicationError("\n".join([f"{self.module} {_ended(code)}: {last}", *self.tail]), type="ChildFailed")


def _ended(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return f"was killed; where nobody did that, the kernel did for want of memory: {LESS}. Its last words"
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"


async def _lines(stream: asyncio.StreamReader, log: BinaryIO | None = None) -> AsyncIterator[str]:
    """Lines without their ends, each cut at `LONGEST` bytes. What is read is copied to `log` at once."""
    rest = b""
    while chunk := await stream.read(LONGEST):
        if log is not None:
            log.write(chunk)
            log.flush()
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line[:LONGEST].decode(errors="replace").rstrip()
        rest = rest[:LONGEST]
    if rest:
        yield rest.decode(errors="replace").rstrip()


async def _stop(child: asyncio.subprocess.Process, ended: asyncio.Task[int], grace: float) -> None:
    """Asks it to checkpoint within `grace` seconds, if there are any, and kills it after them."""
    with contextlib.suppress(ProcessLookupError):
        if grace:
            child.terminate()
            await asyncio.wait([ended], timeout=grace)
        if not ended.done():
            os.killpg(child.pid, signal.SIGKILL)
    await ended


@contextlib.contextmanager
def _only_one(work: Path) -> Iterator[int]:
    """A lock that the child inherits: an attempt which Temporal gave up on may still be running here."""
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ApplicationError(f"an earlier attempt still works in {work.name}", type="Busy") from None
        yield file.fileno()
