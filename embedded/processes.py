"""Processes that outlive the command that starts them.

One is known by pid, start time and command line, so that a pid reused after a reboot is never taken for ours. It holds the lock
of its part, so that no second one starts beside it, even where `state.json` is lost.
"""

import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import driftline
from driftline.embedded.state import Part, Process, State, failed, log_file

HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 20
INSTALL = "`pip install 'driftline[embedded]'`"
# Where `driftline` is imported from: the repository, or site-packages.
ROOT = Path(str(driftline.__file__)).resolve().parent.parent
# What must be in a process's command line.
MARKS: dict[Part, tuple[str, ...]] = {
    "postgres": ("postgres", "{home}/postgres"),
    "temporal": ("start-dev", "{home}/temporal.db"),
    "worker": ("driftline.worker", "--role"),
    "web": ("driftline.web", "--port"),
}


def psutil() -> Any:
    try:
        import psutil
    except ImportError as error:
        raise RuntimeError(f"psutil is not installed: {INSTALL}") from error
    return psutil


def process(pid: int) -> Process | None:
    with suppress(psutil().Error):
        found = psutil().Process(pid)
        # A zombie is dead, its parent has not noticed.
        return None if found.status() == "zombie" else Process(pid, found.create_time() - psutil().boot_time())
    return None


def lives(known: Process) -> bool:
    found = process(known.pid)
    return found is not None and abs(found.created - known.created) <= 2  # psutil knows the boot to the second


def is_ours(known: Process, part: Part, home: Path) -> bool:
    if not lives(known):
        return False
    command: list[str] = []
    with suppress(psutil().Error):
        command = psutil().Process(known.pid).cmdline()
    marks = [mark.format(home=home) for mark in MARKS[part]]
    return all(any(word == mark or word.endswith(f"/{mark}") for word in command) for mark in marks)


def spawn(home: Path, part: Part, command: list[str], env: Mapping[str, str] | None = None) -> Process:
    """Start a process in its own session, so that neither Ctrl-C nor the end of this terminal reaches it.

    Raises:
        RuntimeError: one of this home's still runs, or this one ended at once.
    """
    log = log_file(home, part)
    with log.open("ab") as out, _lock(home, part) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"a {part} of {home} still runs: `driftline down` ends it") from None
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            pass_fds=(lock.fileno(),),
            umask=0o077,
        )
        lock.truncate(0)
        lock.write(str(child.pid))
    started = process(child.pid)
    child.returncode = 0  # it outlives us on purpose; keeps Popen from warning about that
    if started is None:
        raise failed(command[0], log)
    return started


def holder(home: Path, part: Part) -> Process | None:
    """The process that holds the lock of its part: one of this home's, whatever `state.json` says."""
    with _lock(home, part) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            return process(int(lock.read() or 0))
    return None


def end(known: Process | None, patience: float) -> None:
    """SIGTERM, then SIGKILL after `patience` seconds."""
    if known is None or not lives(known):
        return
    with suppress(psutil().NoSuchProcess):
        found = psutil().Process(known.pid)
        found.terminate()
        try:
            found.wait(patience)
        except psutil().TimeoutExpired:
            found.kill()
            found.wait(STOP_SECONDS)


def free_port(state: State, name: str, first: int = 0) -> int:
    """The port of last time (at first `first`) while it is free, else a new one: addresses in bookmarks and scripts stay good."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, state.ports.get(name, first)))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def wait_until(done: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.05)
    return False


def _lock(home: Path, part: Part) -> IO[str]:
    folder = home / "running"
    folder.mkdir(exist_ok=True, mode=0o700)
    return os.fdopen(os.open(folder / part, os.O_RDWR | os.O_CREAT, 0o600), "r+")


def python_path() -> dict[str, str]:
    """Environment in which a process finds `driftline` wherever it starts."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
