"""Counting in a Postgres whose collation is no alphabet of bytes (Debian's `postgresql`, with ICU): ties are as everywhere."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from driftline.contracts import Sequences
from driftline.sources.counting import count_triples
from driftline.sources.sequences import REFERENCE
from tests.sources.logs import assignment
from tests.sources.test_engines import CLUSTERS, SOURCE, WINDOW, log

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
USER = "postgres"
pytestmark = pytest.mark.skipif(not PROGRAMS, reason="a Postgres with ICU is not installed: apt-get install postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server that orders text as an English dictionary does, digits last: so would the md5 of ties be."""
    folder = Path(tempfile.mkdtemp(prefix="driftline-collation-"))
    identity = {}
    if os.geteuid() == 0:  # Postgres refuses to be root
        with suppress(KeyError):
            pwd.getpwnam(USER)
            identity = {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}
        if not identity:
            pytest.skip(f"there is no user {USER}")
        shutil.chown(folder, USER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs, data = PROGRAMS[-1].parent, folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, **identity)  # type: ignore[call-overload]

    try:
        run(
            "initdb",
            "-U",
            "reader",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale-provider=icu",
            "--icu-locale=en-US-u-kr-latn-digit-kn-true",
            "--no-sync",
        )
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://reader@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_ties_are_as_in_every_engine(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = log()
    pq.write_table(rows, tmp_path / "events.parquet")
    kinds = {"string": "text", "bool": "bool", "int64": "int", "timestamp[us]": "timestamp"}
    with psycopg.connect(server, autocommit=True) as conn:
        assert conn.execute("SELECT 'a' < 'B', 'a0' < '7f'").fetchone() == (True, True)
        assert conn.execute("SELECT 'a0' < '7f' COLLATE \"C\"").fetchone() == (False,)
        columns = ", ".join(f'"{one.name}" {kinds[str(one.type)]}' for one in rows.schema)
        conn.execute(f"CREATE TABLE events ({columns})")
        with conn.cursor().copy("COPY events FROM STDIN") as copy:
            for row in rows.to_pylist():
                copy.write_row(list(row.values()))
    monkeypatch.setenv("LOG_URL", server.replace("postgresql://", "postgresql+psycopg://"))
    asked = Sequences("adjacent"), WINDOW, assignment(CLUSTERS)
    source = replace(SOURCE, basket="basket")
    expected = count_triples(replace(source, events=str(tmp_path / "events.parquet")), *asked, engine=REFERENCE)
    assert expected.triples > 30
    assert count_triples(replace(source, events="SELECT * FROM events"), *asked, engine="sql:${LOG_URL}") == expected
