"""What a home runs: ports, addresses, processes and a password, in `state.json`, which only its owner reads."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from driftline.system.files import atomic_file

Part = Literal["postgres", "temporal", "worker", "web"]


@dataclass(frozen=True)
class Process:
    pid: int
    created: float
    """Seconds since this machine booted: setting its clock does not move them."""


@dataclass(frozen=True)
class State:
    """What this folder runs. An address is remembered while its server is down; its process is then `None`."""

    postgres_url: str = ""
    """Of the schema's owner: for `up`, `prune` and `restore` only."""
    worker_url: str = ""
    """What workers and commands connect with."""
    reader_url: str = ""
    """For whoever looks with SQL."""
    temporal_address: str = ""
    temporal_ui: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    postgres: Process | None = None
    temporal: Process | None = None
    worker: Process | None = None
    web: Process | None = None
    web_address: str = ""
    open_doors: str = ""
    """Why any user of this machine reaches Temporal; empty where only the owner does."""


def read(home: Path) -> State:
    """Reads the state as it was written: a process may be gone since.

    Raises:
        RuntimeError: the file is damaged.
    """
    file = home / "state.json"
    if not file.exists():
        return State()
    try:
        raw = json.loads(file.read_text())
        for part in ("postgres", "temporal", "worker", "web"):
            raw[part] = Process(**raw[part]) if raw.get(part) else None
        return State(**raw)
    except (ValueError, TypeError, AttributeError) as error:
        raise RuntimeError(
            f"{file} is damaged ({type(error).__name__}: {error}): remove it, then `driftline up`, which finds what runs"
        ) from None


def write(home: Path, state: State) -> State:
    with atomic_file(home / "state.json") as aside, open_private(aside) as file:
        json.dump(asdict(state), file, indent=2)
    return state


@contextmanager
def locked(home: Path) -> Iterator[Path]:
    """One command at a time starts or stops things in a folder. A folder that is ours is closed to everybody else."""
    home = home.resolve()
    ours = not home.exists() or (home / "state.json").exists()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if ours and home.stat().st_mode & 0o077 and home.stat().st_uid == os.geteuid():
        home.chmod(0o700)
    with open_private(home / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def log_file(home: Path, part: Part) -> Path:
    """Creates the log of a part, which nobody else reads."""
    log = home / "logs" / f"{part}.log"
    log.parent.mkdir(exist_ok=True, mode=0o700)
    log.touch(mode=0o600)
    log.chmod(0o600)
    return log


def failed(what: str, log: Path) -> RuntimeError:
    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    return RuntimeError(f"{what} did not start; the end of {log}:\n{end}")


def open_private(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
