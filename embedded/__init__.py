"""Starts and stops the embedded Postgres and Temporal, and one worker, for a machine that has neither (design §6).

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
from driftline.embedded.state import Process, State, locked, read, write

if TYPE_CHECKING:
    from driftline.settings import Settings

__all__ = ["Process", "State", "addressed", "start_postgres", "start_worker", "status", "stop", "up"]


def up(home: Path, *, postgres: bool = True, temporal: bool = True) -> State:
    """Start the servers that are wanted and not running; returns when they answer.

    Raises:
        RuntimeError: the extra `embedded` is not installed, or a server does not start (the message has its log's end).
    """
    with locked(home) as home:
        state = _adopted(home)
        if postgres and state.postgres is None:
            state = write(home, _postgres.start(home, state))
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
        "postgres_url": settings.postgres_url or state.postgres_url,
        "temporal_address": settings.temporal_address or state.temporal_address,
        "temporal_ui": settings.temporal_ui or ("" if settings.temporal_address else state.temporal_ui),
    }
    if not (filled["postgres_url"] and filled["temporal_address"]):
        raise RuntimeError("nothing was started here yet: run `driftline up`, or set `postgres_url` and `temporal_address`")
    return settings.model_copy(update=filled)


def stop(home: Path, *, drain_seconds: float = 60) -> None:
    """Stop the worker (it gets `drain_seconds` to finish), then Temporal, then Postgres. Data and ports stay."""
    if not home.is_dir():
        return
    with locked(home) as home:
        state = _adopted(home)
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
    return replace(state, worker=worker, temporal=state.temporal or processes.holder(home, "temporal"))
