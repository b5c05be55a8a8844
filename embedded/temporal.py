"""The embedded Temporal: the development server of its own command, behind a door that only its owner passes."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from driftline.embedded.processes import (
    HOST,
    INSTALL,
    START_SECONDS,
    STOP_SECONDS,
    end,
    free_port,
    listens,
    lives,
    python_path,
    spawn,
)
from driftline.embedded.state import State, failed, log_file

SEARCH_ATTRIBUTES = ("DriftlineStage=Keyword", "DriftlineTable=Int")
NO_HTTP_API = 'frontend.httpAllowedHosts=["nobody.invalid"]'
"""The server opens a second way in beside gRPC, which takes requests of any web page. This has it refuse them all."""


def start(home: Path, state: State) -> State:
    """Spawn the server; `await_answer` says when it serves."""
    port, ui = free_port(state, "temporal"), free_port(state, "ui")
    server = [binary(), "server", "start-dev", "--ip", HOST, "--port", str(port), "--ui-port", str(ui)]
    server += ["--db-filename", str(home / "temporal.db"), "--log-level", "warn", "--dynamic-config-value", NO_HTTP_API]
    server += [part for attribute in SEARCH_ATTRIBUTES for part in ("--search-attribute", attribute)]
    open_doors = no_doorman()
    command = server if open_doors else [*_doorman(port, ui), "--", *server]
    for name in ("temporal.db", "temporal.db-wal", "temporal.db-shm"):  # of a version that left them readable
        if (home / name).exists():
            (home / name).chmod(0o600)
    process = spawn(home, "temporal", command, python_path())
    known = replace(state, temporal_address=f"{HOST}:{port}", temporal_ui=f"http://{HOST}:{ui}", open_doors=open_doors)
    return replace(known, ports={**state.ports, "temporal": port, "ui": ui}, temporal=process)


def no_doorman() -> str:
    """Why the server cannot run in a network of its own here; empty if it can."""
    tried = subprocess.run(
        [*_doorman(0, 0), "--try"], capture_output=True, text=True, check=False, env={**os.environ, **python_path()}
    )
    return (tried.stderr.strip().rpartition("\n")[2] or f"exit code {tried.returncode}") if tried.returncode else ""


def await_answer(home: Path, state: State) -> None:
    """Waits until Temporal answers.

    Raises:
        RuntimeError: it ended, or does not answer in time; with the end of its log.
    """
    probe = [binary(), *f"operator namespace describe -n default --address {state.temporal_address}".split()]
    deadline = time.monotonic() + START_SECONDS
    while state.temporal is not None and lives(state.temporal) and time.monotonic() < deadline:
        if listens(state.ports["temporal"]) and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    end(state.temporal, STOP_SECONDS)
    raise failed("Temporal", log_file(home, "temporal"))


def binary() -> str:
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    if found is None:
        raise RuntimeError(f"the embedded Temporal is not installed: {INSTALL}, or set DRIFTLINE_TEMPORAL_ADDRESS")
    return found


def _doorman(port: int, ui: int) -> list[str]:
    return [sys.executable, "-P", "-m", "driftline.embedded.doorman", "--host", HOST, "--grpc", str(port), "--ui", str(ui)]
