"""The commands of docs/backup.md that back up servers of one's own, as they stand there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from temporalio.testing import WorkflowEnvironment

from driftline import embedded
from driftline.activities.resources import artifacts_of
from driftline.contracts import Verdict
from driftline.db import channels, reviews
from driftline.db.connection import connect
from driftline.embedded import postgres
from tests.db import world

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "backup.md").read_text()
BACKUP, RESTORE = re.findall(r"^```\n(pg_dump .*?)\n\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)[0]
RIGHTS = """
    SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace UNION ALL
    SELECT proname, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1, 2
"""


@pytest.fixture
def other_server() -> Iterator[str]:
    """URL of an empty database on a Postgres that knows nothing."""
    home = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        yield embedded.start_postgres(home)
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def run(commands: str, folder: Path, **env: str) -> None:
    programs = f"{postgres.programs()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = os.environ | {"PATH": programs} | env
    done = subprocess.run(["bash", "-euc", commands], cwd=folder, env=found, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def answer(folder: Path, *command: str, **env: str) -> object:
    found = os.environ | env
    return json.loads(subprocess.check_output([sys.executable, str(ROOT / "cli.py"), *command, "--json"], cwd=folder, env=found))


def a_database(url: str, name: str, command: str = "") -> str:
    """Made where it is missing; Temporal's stands for the one that its server would have."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    made = str(make_url(url).set(database=name).render_as_string(hide_password=False))
    with psycopg.connect(made) as conn:
        conn.execute(command or "SELECT 1")
    return made


@pytest.mark.long
def test_another_server_goes_on_from_the_dumps(
    postgres_url: str, other_server: str, dev_server: WorkflowEnvironment, tmp_path: Path
) -> None:
    temporal = dev_server.client.service_client.config.target_host
    of, to = tmp_path / "home", tmp_path / "restored" / "home"
    engine = connect(postgres_url)
    with engine.begin() as conn:
        served, waits = world.add_good_table(conn), world.add_table(conn, day=2, shift=1)
        channels.publish(conn, served, "default", "ada")
        world.evaluate(conn, waits, "recall")
        world.open_review(conn, waits, "waits", "recall")
    with psycopg.connect(postgres_url) as owner:
        owner.execute("CREATE ROLE janitor_of_the_test LOGIN PASSWORD 'broom'")
        owner.execute("SELECT grant_pruning('janitor_of_the_test')")
    artifacts = artifacts_of(of, "")
    with artifacts.folder() as folder:
        (folder / "content").write_text("an adapter")
        uri, digest = artifacts.store("adapters", folder)
    (of / "artifacts" / ".new-half").mkdir()
    states = [a_database(url, "temporal_of_the_test") for url in (postgres_url, other_server)]
    with psycopg.connect(states[0]) as conn:
        conn.execute("CREATE TABLE executions AS SELECT 7 AS run")

    try:
        run(BACKUP, tmp_path, DRIFTLINE_POSTGRES_URL=postgres_url, TEMPORAL_POSTGRES_URL=states[0], DRIFTLINE_HOME=str(of))
        env = {"DRIFTLINE_POSTGRES_URL": other_server, "DRIFTLINE_HOME": str(to), "DRIFTLINE_TEMPORAL_ADDRESS": temporal}
        env["DRIFTLINE_TEMPORAL_NAMESPACE"] = "restored"
        run(RESTORE, tmp_path, TEMPORAL_POSTGRES_URL=states[1], **env)

        then = {"DRIFTLINE_POSTGRES_URL": postgres_url, "DRIFTLINE_HOME": str(of), "DRIFTLINE_TEMPORAL_ADDRESS": temporal}
        for command in (("lookup", "0", "1"), ("review", "list"), ("tables", "history")):
            assert answer(tmp_path, *command, **env) == answer(tmp_path, *command, **then)
        assert (artifacts_of(to, "").find(uri, digest) / "content").read_text() == "an adapter"
        assert not (to / "artifacts" / ".new-half").exists()
        assert {each["id"] for each in answer(tmp_path, "schedule", "list", **env)} >= {"driftline-rag-refresh"}  # type: ignore[attr-defined]
        with psycopg.connect(states[1]) as conn:
            assert conn.execute("SELECT run FROM executions").fetchall() == [(7,)]
        with psycopg.connect(postgres_url) as old, psycopg.connect(other_server) as new:
            assert new.execute(RIGHTS).fetchall() == old.execute(RIGHTS).fetchall()
            janitor = "SELECT has_function_privilege('janitor_of_the_test', oid, 'execute') FROM pg_proc WHERE proname = "
            assert new.execute(f"{janitor} 'prune_version'").fetchall() == [(True,)]
            assert new.execute(f"{janitor} 'record_verdict'").fetchall() == [(False,)]
        restored = connect(other_server)
        with restored.begin() as conn:  # and new versions get new numbers
            reviews.record_verdict(conn, Verdict("waits", "approve", "ada"))
            channels.publish(conn, waits, "default", "ada", review_id="waits")
            assert world.add_good_table(conn, day=4) > waits
        restored.dispose()
    finally:
        engine.dispose()
        with psycopg.connect(postgres_url) as owner:
            owner.execute("DROP OWNED BY janitor_of_the_test; DROP ROLE janitor_of_the_test")
