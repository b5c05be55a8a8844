"""PgBouncer in transaction mode between us and Postgres: every transaction may be another session's (Debian's `pgbouncer`)."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from driftline.db import channels, clusters, connection, tables
from driftline.db.lookup import Snapshot
from driftline.embedded.processes import free_port
from driftline.embedded.state import State
from tests.db import world

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed: apt-get install pgbouncer")
SESSIONS = 3
"""Of Postgres, behind many of ours."""


@pytest.fixture(scope="module")
def bouncer(postgres_server: str) -> Iterator[str]:
    """Address of a PgBouncer before the tests' server, without a database."""
    server, port = make_url(postgres_server), free_port(State(), "pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="driftline-pgbouncer-"))
    (folder / "pgbouncer.ini").write_text(
        f"""
        [databases]
        * = host={server.host} port={server.port} user={server.username} password={server.password}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = {SESSIONS}
        """.replace("\n        ", "\n")
    )
    folder.chmod(0o755)
    # As root it refuses to run.
    who = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    log = (folder / "log").open("w")
    process = subprocess.Popen([str(PROGRAM), str(folder / "pgbouncer.ini")], stdout=log, stderr=log, cwd="/", **who)  # type: ignore[call-overload]
    address = f"postgresql://any@127.0.0.1:{port}"
    try:
        for patience in range(100, -1, -1):
            try:
                psycopg.connect(f"{address}/postgres").close()
                break
            except psycopg.OperationalError:
                assert patience, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()
        log.close()
        shutil.rmtree(folder)


@pytest.fixture
def pooled(bouncer: str, postgres_url: str) -> str:
    """A fresh migrated database, whose own zone is not UTC, by way of the pool."""
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as raw:
        raw.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    return f"{bouncer}/{name}"


def test_several_starters_migrate_once(bouncer: str, postgres_server: str) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as raw:
        raw.execute("CREATE DATABASE pooled_migration")
    url = f"{bouncer}/pooled_migration"
    code = f"from driftline.db.connection import migrate; migrate({url!r})"
    starters = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [starter.wait(120) for starter in starters] == [0, 0]
    engine = connection.connect(url)
    connection.require_schema(engine)
    engine.dispose()


def test_many_clients_share_few_sessions(pooled: str) -> None:
    """Statements are repeated past psycopg's threshold of preparing them; every instant is in UTC; a version is made once."""
    made: list[tuple[int, int]] = []
    wrong: list[object] = []

    def work(number: int) -> None:
        engine = connection.connect(pooled)
        try:
            for _ in range(8):
                with engine.begin() as conn:
                    cluster_set = world.add_clusters(conn)
                    made.append((cluster_set, world.add_counts(conn, cluster_set, day=number % 2)))
                    assert {clusters.newest(conn) for _ in range(7)} == {cluster_set}
                with engine.connect() as conn:
                    zone = conn.execute(text("SHOW timezone")).scalar_one()
                    created = clusters.describe(conn, cluster_set).created_at
                    wrong.extend([zone, created] if zone != "UTC" or str(created.tzinfo) not in ("UTC", "Etc/UTC") else [])
        except Exception as error:
            wrong.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2 * SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(made) == 8 * 2 * SESSIONS
    assert len({cluster_set for cluster_set, _ in made}) == 1
    assert len(set(made)) == 2


def test_snapshots_follow_their_channel_by_asking(pooled: str) -> None:
    """The pool lets no notification through for certain, and has other clients' prepared statements."""
    engine = connection.connect(pooled)
    try:
        with engine.begin() as conn:
            first, second = world.add_good_table(conn), world.add_good_table(conn, day=1, shift=1)
            channels.publish(conn, first, "default", actor="ana", reason="good")
        snapshots = [Snapshot(pooled, poll_seconds=0.05) for _ in range(2 * SESSIONS)]
        try:
            assert {snapshot.version for snapshot in snapshots} == {first}
            time.sleep(1)  # some twenty questions of each
            assert {snapshot.stale_since for snapshot in snapshots} == {None}
            with engine.begin() as conn:
                channels.publish(conn, second, "default", actor="ana", reason="better")
            deadline = time.monotonic() + 30
            while {snapshot.version for snapshot in snapshots} != {second} and time.monotonic() < deadline:
                time.sleep(0.02)
            assert {snapshot.version for snapshot in snapshots} == {second}
            with engine.connect() as conn:
                answer = tables.lookup(conn, 0, 1)
            assert {snapshot(0, 1) for snapshot in snapshots} == {answer.c_next}
        finally:
            for snapshot in snapshots:
                snapshot.close()
    finally:
        engine.dispose()
