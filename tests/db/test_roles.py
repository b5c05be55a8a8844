"""What each role may do, tried by each."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from driftline.db import channels as db_channels
from tests.db import world


@contextmanager
def acting_as(conn: Connection, role: str) -> Iterator[Connection]:
    """A member of the role, until the block ends; what it did is rolled back."""
    savepoint = conn.begin_nested()
    try:
        conn.execute(text(f"SET LOCAL ROLE {role}"))
        yield conn
    finally:
        savepoint.rollback()


def refused(conn: Connection, role: str, statement: str) -> bool:
    """By its grants; another complaint would come later."""
    with acting_as(conn, role):
        try:
            with conn.begin_nested():
                conn.execute(text(statement))
        except DBAPIError as error:
            return "permission denied" in str(error) or "must be owner" in str(error)
    return False


APPEND_ONLY = (
    *("cluster_set", "cluster", "cluster_item", "counts", "model", "transition_table", "transition", "transition_count"),
    *("evaluation", "verdict", "publication", "measurement", "report", "consent"),
)


@pytest.mark.parametrize("role", ["driftline_reader", "driftline_reviewer", "driftline_worker"])
def test_nobody_changes_what_is_append_only(conn: Connection, role: str) -> None:
    for table in APPEND_ONLY:
        column, *_ = conn.execute(text(f"SELECT * FROM {table} LIMIT 0")).keys()
        assert refused(conn, role, f"UPDATE {table} SET {column} = DEFAULT WHERE false")
        assert refused(conn, role, f"DELETE FROM {table} WHERE false")
        assert refused(conn, role, f"TRUNCATE {table}")
        assert refused(conn, role, f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        assert not refused(conn, role, f"SELECT * FROM {table}")


def test_a_reader_writes_nothing(conn: Connection) -> None:
    for table in (*APPEND_ONLY, "channel", "alembic_version"):
        assert refused(conn, "driftline_reader", f"INSERT INTO {table} DEFAULT VALUES")
    for role in ("driftline_reader", "driftline_reviewer"):
        assert refused(conn, role, "UPDATE channel SET table_version = 1")
        assert refused(conn, role, "SELECT make_partition('transition', 99)")
    assert not refused(conn, "driftline_reader", "SELECT * FROM next_cluster(1, 2)")


def test_a_worker_makes_a_table_and_publishes_it(engine: Engine) -> None:
    with engine.connect() as conn:
        conn.execute(text("SET ROLE driftline_worker"))
        table = world.add_good_table(conn)
        assert db_channels.publish(conn, table, "default", "worker").outcome == "published"
        assert conn.execute(text("SELECT count(*) FROM transition WHERE version = :t"), {"t": table}).scalar_one() > 0


def test_a_channel_is_never_deleted(engine: Engine) -> None:
    with engine.begin() as conn:
        table = world.add_good_table(conn)
        db_channels.publish(conn, table, "default", "worker")
    for statement in ("DELETE FROM channel", "TRUNCATE channel"):
        with engine.connect() as conn, pytest.raises(DBAPIError, match="append-only"):
            conn.execute(text(statement))
