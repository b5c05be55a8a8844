"""Starts and stops the embedded Postgres and Temporal, one worker and the page, for a machine that has none (design §6).

Everything lives in one folder (`.driftline/`, closed to other users): data, logs and `state.json`, which remembers ports and
processes. Servers outlive the command that starts them. They listen on loopback only.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftline.embedded import postgres as _postgres
from driftline.embedded import processes
from driftline.embedded import temporal as _temporal
from driftline.embedded.processes import STOP_SECONDS
from driftline.embedded.state import Process, State, failed, locked, log_file, read, write

if TYPE_CHECKING:
    from driftline.settings import Settings

__all__ = [
    "Process",
    "State",
    "addressed",
    "owner_url",
    "reader_url",
    "start_postgres",
    "start_web",
    "start_worker",
    "status",
    "stop",
    "up",
]


def up(home: Path, *, postgres: bool = True, temporal: bool = True) -> State:
    """Start the servers that are wanted and not running; returns when they answer.

    Raises:
        RuntimeError: the extra `embedded` is not installed, or a server does not start (the message has its log's end).
    """
    with locked(home) as home:
        state = _adopted(home)
        if postgres and state.postgres is None:
            state = write(home, _postgres.start(home, state))
        elif postgres and not state.worker_url:  # started by a version that knew only the owner
            state = write(home, _postgres.add_logins(home, state))
        if temporal:
            if not state.temporal_address:  # one that `state.json` had forgotten
                processes.end(state.temporal, STOP_SECONDS)
                state = replace(state, temporal=None)
            if state.temporal is None:
                state = write(home, _temporal.start(home, state))
            _temporal.await_answer(home, state)
        return state


def start_postgres(home: Path) -> str:
    """Start Postgres if it is not running; returns its URL."""
    return up(home, temporal=False).postgres_url


def start_worker(home: Path, env: Mapping[str, str]) -> State:
    """Spawn a worker for all roles, with `env` on top of this environment, unless one runs. Does not wait until it polls."""
    with locked(home) as home:
        state = _adopted(home)
        if state.worker is None:
            command = [sys.executable, "-P", "-m", "driftline.worker", "--role", "all"]
            found = processes.python_path() | {"DRIFTLINE_HOME": str(home)}
            process = processes.spawn(home, "worker", command, found | dict(env))
            state = write(home, replace(state, worker=process))
        return state


def start_web(home: Path, port: int) -> State:
    """Spawn the page on loopback, at this port if it is free, unless one runs; returns when it answers.

    Raises:
        RuntimeError: it does not start; the message has its log's end.
    """
    with locked(home) as home:
        state = _adopted(home)
        if not state.web_address:  # one that `state.json` had forgotten
            processes.end(state.web, STOP_SECONDS)
            state = replace(state, web=None)
        if state.web is None:
            port = processes.free_port(state, "web", port)
            command = [sys.executable, "-P", "-m", "driftline.web", "--host", processes.HOST, "--port", str(port)]
            process = processes.spawn(home, "web", command, processes.python_path() | {"DRIFTLINE_HOME": str(home)})
            address, ports = f"http://{processes.HOST}:{port}", {**state.ports, "web": port}
            state = write(home, replace(state, web=process, web_address=address, ports=ports))
            answers = lambda: processes.listens(port) or not processes.lives(process)  # noqa: E731
            if not processes.wait_until(answers, processes.START_SECONDS) or not processes.lives(process):
                raise failed("the page", log_file(home, "web"))
        return state


def status(home: Path) -> State:
    """What runs now. Starts nothing, needs no lock, and makes no folder."""
    return _live(home.resolve())


def addressed(settings: "Settings") -> "Settings":
    """The settings with the embedded servers' addresses where no other is set.

    Raises:
        RuntimeError: an address is neither set nor known here.
    """
    state = status(settings.home)
    filled = {
        "postgres_url": settings.postgres_url or state.worker_url or state.postgres_url,
        "temporal_address": settings.temporal_address or state.temporal_address,
        "temporal_ui": settings.temporal_ui or ("" if settings.temporal_address else state.temporal_ui),
    }
    if not (filled["postgres_url"] and filled["temporal_address"]):
        raise RuntimeError("nothing was started here yet: run `driftline up`, or set `postgres_url` and `temporal_address`")
    return settings.model_copy(update=filled)


def owner_url(settings: "Settings") -> str:
    """Postgres' URL for the schema's owner: the setting, or the embedded Postgres' owner (`addressed` names a worker)."""
    return settings.postgres_url or status(settings.home).postgres_url


def reader_url(settings: "Settings") -> str:
    """Postgres' URL for readers: the setting, or the embedded Postgres' reader."""
    state = status(settings.home)
    return settings.postgres_url or state.reader_url or state.postgres_url


def stop(home: Path, *, drain_seconds: float = 60) -> None:
    """Stop the page, the worker (it gets `drain_seconds` to finish), then Temporal, then Postgres. Data and ports stay."""
    if not home.is_dir():
        return
    with locked(home) as home:
        state = _adopted(home)
        processes.end(state.web, STOP_SECONDS)
        state = write(home, replace(state, web=None))
        processes.end(state.worker, drain_seconds)
        state = write(home, replace(state, worker=None))
        processes.end(state.temporal, STOP_SECONDS)
        state = write(home, replace(state, temporal=None))
        _postgres.stop(home)
        write(home, replace(state, postgres=None))


def _live(home: Path) -> State:
    """The remembered state without the processes that are gone."""
    state = read(home)
    gone: dict[str, Any] = {
        part: None
        for part in processes.MARKS
        if (known := getattr(state, part)) is not None and not processes.is_ours(known, part, home)
    }
    return replace(state, **gone)


def _adopted(home: Path) -> State:
    """The same with those that run here and are not in `state.json`: it may be lost, or a start was killed before it wrote."""
    state = _live(home)
    worker = state.worker or processes.holder(home, "worker")
    temporal, web = (getattr(state, part) or processes.holder(home, part) for part in ("temporal", "web"))
    return replace(state, worker=worker, temporal=temporal, web=web)
