import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from driftline.db import connection
from driftline.db.schema import metadata


def test_migrations_make_what_the_schema_says(conn: Connection) -> None:
    context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
    assert compare_metadata(context, metadata) == []


def test_constraints_and_comments_are_there_too(conn: Connection) -> None:
    """What Alembic does not compare: checks by name, and a comment on every table, view, function and column of a table."""
    checks = {constraint.name for table in metadata.tables.values() for constraint in table.constraints if constraint.name}
    missing = "SELECT unnest(CAST(:names AS text[])) EXCEPT SELECT conname FROM pg_constraint"
    assert conn.execute(text(missing), {"names": sorted(map(str, checks))}).all() == []
    silent = """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            AND relname <> 'alembic_version' AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
    """
    assert conn.execute(text(silent)).all() == []


def test_the_names_of_the_files_are_the_revisions() -> None:
    """So that a command knows the newest one without loading Alembic."""
    scripts = ScriptDirectory.from_config(connection._config())
    assert connection.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_downgrade_and_upgrade_again(postgres_url: str) -> None:
    engine = connection.connect(postgres_url)
    config = connection._config()
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "base")
        conn.commit()
    with pytest.raises(connection.OldSchema, match=r"is empty.*driftline up.*alembic upgrade head"):
        connection.require_schema(engine)
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        conn.commit()
    with pytest.raises(connection.OldSchema, match="is at revision 0001"):
        connection.require_schema(engine)
    connection.migrate(postgres_url)
    connection.require_schema(engine)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    connection.require_schema(engine)  # a newer schema is the next release's; expanding does not break us
    engine.dispose()


def test_connect_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="driftline up"):
        connection.connect("")
    with pytest.raises(ValueError, match="not a Postgres URL"):
        connection.connect("sqlite://")


def test_instants_are_read_in_utc(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as raw:
        raw.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
    with connection.connect(postgres_url).connect() as conn:
        assert str(conn.execute(text("SELECT '2026-01-01T00:00Z'::timestamptz")).scalar_one()) == "2026-01-01 00:00:00+00:00"
