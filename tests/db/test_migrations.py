"""Schemas of two releases: the first one's rows go on, workers of either side of a migration work or say what to do."""

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from sqlalchemy import Engine, text

from driftline.db import channels, connection, reviews, serving, tables
from tests.db import first_schema, world

OLD_ROWS = ("cluster_set", "cluster", "cluster_item", "counts", "transition_count", "model", "transition_table", "transition")


@pytest.fixture
def old(postgres_server: str) -> Iterator[Engine]:
    """A database as the first schema's workers left it: two tables, of which a person let the second through."""
    url = created(postgres_server, "first_schema")
    engine = connection.connect(url)
    config = connection._config()
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, first_schema.REVISION)
        conn.commit()
    with engine.begin() as conn:
        first_schema.publish_a_table(conn, "first")
        first_schema.publish_a_table(conn, "second", gate=True, day=30)
    yield engine
    engine.dispose()


def created(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as raw:
        raw.execute(f"CREATE DATABASE {name}".encode())
    return f"{server.rpartition('/')[0]}/{name}"


def columns(engine: Engine) -> dict[str, list[str]]:
    query = text("SELECT column_name FROM information_schema.columns WHERE table_name = :name ORDER BY ordinal_position")
    with engine.connect() as conn:
        return {name: list(conn.execute(query, {"name": name}).scalars()) for name in OLD_ROWS}


def written(engine: Engine, of: dict[str, list[str]]) -> dict[str, list[str]]:
    """Every row of before, by the columns that there were."""
    with engine.connect() as conn:
        return {
            name: list(conn.execute(text(f"SELECT ROW({', '.join(names)})::text AS row FROM {name} ORDER BY row")).scalars())
            for name, names in of.items()
        }


def test_three_workers_migrate_at_once_and_old_rows_are_served_on(old: Engine, postgres_server: str) -> None:
    """An empty database, and one of the first schema. Its own workers go on meanwhile."""
    empty, known = created(postgres_server, "three_starters"), columns(old)
    before, url = written(old, known), old.url.render_as_string(hide_password=False)
    with pytest.raises(connection.OldSchema, match=r"is at revision 0002.*driftline up.*alembic upgrade head"):
        connection.require_schema(old)
    old.dispose()
    code = "import sys; from driftline.db.connection import migrate; [migrate(url) for url in sys.argv[1:]]"
    starters = [subprocess.Popen([sys.executable, "-c", code, empty, url]) for _ in range(3)]
    assert [starter.wait(120) for starter in starters] == [0, 0, 0]

    for database in (empty, url):
        engine = connection.connect(database)
        connection.require_schema(engine)
        engine.dispose()
    assert written(old, known) == before
    with old.connect() as conn:
        assert tables.lookup(conn, 0, 1).c_next == first_schema.answer(0, 1)
        assert [(move.from_version, move.to_version, move.reviewer) for move in channels.history(conn)] == [
            (1, 2, "ada"),
            (None, 1, None),
        ]
        (verdict,) = reviews.verdicts_about(conn, 2)
        assert (verdict.decision, verdict.reviewer) == ("approve", "ada")
        assert tables.lineage(conn, 2)["adapter_hash"] == "adapter"
        (pointer,) = serving.pointers(serving.raw(conn))
        assert (pointer.version, len(serving.read_table(serving.raw(conn), pointer).answers)) == (2, 12)
        assert conn.execute(text("SELECT version, decoding FROM next_cluster(0, 1)")).one() == (2, "exact")

    # A worker that was not replaced yet
    with old.begin() as conn:
        version = first_schema.publish_a_table(conn, "third", day=60)
        stopped = first_schema.publish_a_table(conn, "fourth", "trial", gate=True, day=90)
    with old.begin() as conn:
        assert channels.list_channels(conn) == {"default": version, "trial": stopped}
        # and one that was
        newest = world.add_good_table(conn, day=60)
        channels.publish(conn, newest, "default", "driftline", run=world.RUN)
        assert tables.lookup(conn, 0, 1).version == newest
