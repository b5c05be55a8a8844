"""What each role may do, tried by each."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from driftline.contracts import BadInput, Verdict
from driftline.db import channels as db_channels
from driftline.db import connection as db_connection
from driftline.db import reviews as db_reviews
from tests.db import world
from tests.db.logins import logged_in


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


RIGHTS = """
SELECT c.relname, c.relkind, r.rolname, array_agg(p ORDER BY p) FILTER (WHERE has_table_privilege(r.oid, c.oid, p)) AS rights,
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'refuse_change') AS append_only
FROM pg_class c, pg_roles r, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
    AND r.rolname IN ('driftline_reader', 'driftline_reviewer', 'driftline_worker') GROUP BY c.oid, r.oid, r.rolname
"""
"""What each role may do with each table and view."""


def check_rights(conn: Connection) -> int:
    found = conn.execute(text(RIGHTS)).all()
    assert len({row.rolname for row in found}) == 3
    for row in found:
        inserts = row.rolname == "driftline_worker" and row.relkind in "rp" and row.relname not in ("verdict", "alembic_version")
        updates = row.rolname == "driftline_worker" and row.relname == "channel"
        wanted = ["INSERT"] * inserts + ["SELECT"] + ["UPDATE"] * updates
        assert row.rights == wanted, (row.relname, row.rolname)
        assert row.append_only or row.relkind in "vm" or row.relname in ("channel", "notification", "alembic_version"), (
            row.relname
        )
    return len(found) // 3


def test_every_table_and_view_has_the_grants_of_its_kind(conn: Connection) -> None:
    assert check_rights(conn) > 25


def test_tables_of_later_migrations_and_rights_of_earlier_ones(conn: Connection) -> None:
    """Whoever made them: grants are given anew after each migration."""
    with conn.begin_nested() as savepoint:
        conn.execute(text("CREATE TABLE later (number integer)"))
        conn.execute(text("REVOKE ALL ON later, counts FROM driftline_worker, driftline_reader"))
        conn.execute(text("CREATE TRIGGER refuse_change BEFORE UPDATE ON later FOR EACH ROW EXECUTE FUNCTION refuse_change()"))
        conn.execute(text("GRANT INSERT ON verdict TO driftline_reviewer"))
        conn.execute(text("GRANT UPDATE, DELETE ON publication TO driftline_worker"))
        with pytest.raises(AssertionError):
            check_rights(conn)
        db_connection.grant_roles(conn)
        check_rights(conn)
        savepoint.rollback()


@contextmanager
def connected(engine: Engine, kind: str) -> Iterator[Connection]:
    with logged_in(engine, kind) as url:
        own = db_connection.connect(url)
        try:
            with own.connect() as conn:
                yield conn
        finally:
            own.dispose()


def open_reviews(engine: Engine, *names: str) -> int:
    with engine.begin() as conn:
        table = world.add_table(conn)
        world.evaluate(conn, table, "recall")
        for name in names:
            world.open_review(conn, table, name, "recall")
        return table


def test_a_reviewer_decides_under_the_name_of_the_login(engine: Engine) -> None:
    table = open_reviews(engine, "one", "two")
    with connected(engine, "reviewer") as conn:
        name = db_reviews.login(conn)
        assert name
        assert name.startswith("ada reviewer")
        for forged in (
            Verdict("one", "approve", "ben", known_by="login"),
            Verdict("one", "approve", name, known_by="oidc"),
            Verdict("one", "approve", name),
        ):
            with pytest.raises(BadInput, match=f"you are {name} here"):
                db_reviews.record_verdict(conn, forged)
        with pytest.raises(BadInput, match="you are"):
            db_reviews.expire(conn, "two")
        assert db_reviews.record_verdict(conn, Verdict("one", "approve", name, "fine", known_by="login"))
        assert not db_reviews.record_verdict(conn, Verdict("one", "abort", name, known_by="login"))
        assert db_reviews.revoke(conn, table, name, "I looked again", "login")
        for statement in ("INSERT INTO verdict DEFAULT VALUES", "INSERT INTO channel DEFAULT VALUES"):
            with pytest.raises(DBAPIError, match="permission denied"), conn.begin_nested():
                conn.execute(text(statement))
        conn.commit()
    with engine.connect() as conn:
        assert [(v.decision, v.reviewer, v.known_by) for v in db_reviews.verdicts_about(conn, table)] == [
            ("approve", name, "login"),
            ("revoke", name, "login"),
        ]


def test_a_worker_vouches_for_names_and_still_writes_no_verdict_past_the_function(engine: Engine) -> None:
    open_reviews(engine, "one", "two")
    with connected(engine, "worker") as conn:
        assert db_reviews.login(conn) is None
        with pytest.raises(DBAPIError, match="permission denied"), conn.begin_nested():
            conn.execute(text("INSERT INTO verdict (gate_id, decision, reviewer) VALUES ('one', 'approve', 'ada')"))
        assert db_reviews.record_verdict(conn, Verdict("one", "approve", "ada", known_by="principal"))
        assert db_reviews.expire(conn, "two")
        world.add_good_table(conn, day=9)
    with connected(engine, "reader") as conn, pytest.raises(BadInput, match="permission denied"):
        db_reviews.record_verdict(conn, Verdict("one", "approve", "ada"))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ("1, 'one', 'approve', 'ada' || chr(7), '', 'login'", "one line"),
        ("1, 'one', 'approve', repeat('a', 201), '', 'login'", "one line"),
        ("1, 'one', 'approve', '  ', '', 'login'", "one line"),
        ("1, 'one', 'expired', 'ada', '', 'login'", "is none"),
        ("1, 'one', 'approve', 'driftline', '', 'system'", "is none"),
        ("1, 'none', 'approve', 'ada', '', 'login'", "none such"),
        ("999, NULL, 'revoke', 'ada', '', 'login'", "none such"),
    ],
)
def test_the_function_judges_whoever_calls_it(engine: Engine, values: str, why: str) -> None:
    open_reviews(engine, "one")
    with engine.connect() as conn, pytest.raises(DBAPIError, match=why):
        conn.execute(text(f"SELECT record_verdict({values})"))


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
