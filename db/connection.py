"""Connecting, migrating, and refusing a schema that is too old."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection as Connection
from sqlalchemy import Engine as Engine
from sqlalchemy import create_engine, event, make_url, text

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


POOLED: dict[str, Any] = {"prepare_threshold": None}
"""For every connection. A pooler such as PgBouncer may give each transaction another session, which knows no statement that was
prepared before. It keeps a client's time zone; locks here end with their transaction, and whoever listens asks as well."""


class OldSchema(RuntimeError):
    """The database's schema is older than this code needs."""


def connect(url: str) -> Engine:
    """An engine for a `postgresql://` URL; every instant it reads is in UTC.

    Raises:
        ValueError: the URL is empty or not Postgres.
    """
    if not url:
        raise ValueError("no Postgres: run `driftline up` for an embedded one, or set DRIFTLINE_POSTGRES_URL")
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"not a Postgres URL: {parsed.render_as_string()}; it starts with postgresql://")
    engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=POOLED)
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: psycopg.Connection, _record: object) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def cursor(conn: Connection) -> psycopg.Cursor[Any]:
    """A psycopg cursor inside the transaction of `conn`."""
    raw = conn.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("not a psycopg connection; use db.connection.connect")
    return raw.cursor()


def impatient(url: str, seconds: int) -> str:
    """The URL with a limit on how long a server may take to let one in."""
    return make_url(url).update_query_dict({"connect_timeout": str(seconds)}).render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """A URL for screens and scripts. psql finds the embedded server's password in the home's `pgpass`."""
    open_url = make_url(url)
    return open_url._replace(password=None).difference_update_query(["password"]).render_as_string()


def migrate(url: str) -> None:
    """Bring the schema up to date. Safe to call from many processes at once: an advisory lock lets one do it."""
    from alembic import command  # here, because whoever only connects need not wait for it

    engine = connect(url)
    try:
        with engine.connect() as conn:
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
            conn.commit()
    finally:
        engine.dispose()


def grant_roles(conn: Connection) -> None:
    """Give the roles that this server has what their kind needs, on every table there is now; before migration 0017, nothing."""
    if conn.execute(text("SELECT to_regprocedure('grant_access(text, text)')")).scalar_one() is None:
        return
    for kind in ("reader", "reviewer", "worker"):
        role = f"driftline_{kind}"
        grant = "SELECT grant_access(rolname, :kind) FROM pg_roles WHERE rolname = :role"
        conn.execute(text(grant), {"kind": kind, "role": role})


def now(conn: Connection) -> datetime:
    """Reads Postgres' clock, which has dated what is on record."""
    found: datetime = conn.execute(text("SELECT now()")).scalar_one()
    return found


def require_schema(engine: Engine) -> None:
    """Refuse a schema older than this code's migrations; a newer one is fine (expand → contract).

    Raises:
        OldSchema: migrations are missing.
    """
    known = revisions()
    newest = known[-1]
    with engine.connect() as conn:
        migrated = conn.execute(text("SELECT to_regclass('alembic_version')")).scalar_one()
        current = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() if migrated else None
    if current is None or (current in known and current != newest):
        have = f"is at revision {current}" if current else "is empty"
        raise OldSchema(f"the database {have}, this version needs {newest}: run `driftline up` or `alembic upgrade head`")


def revisions() -> list[str]:
    """Every revision, oldest first, by what the files say of each other: Alembic itself takes as long to load as a command to
    run."""
    after = {}
    for file in MIGRATIONS.glob("versions/[0-9]*_*.py"):
        before = re.search(r'^down_revision = (?:"(\w+)"|None)', file.read_text(), re.MULTILINE)
        after[before[1] if before else None] = file.name.partition("_")[0]
    found: list[str] = []
    while next_one := after.get(found[-1] if found else None):
        found.append(next_one)
    return found


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
