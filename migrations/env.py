"""Alembic's entry: runs the migrations in one transaction under an advisory lock, so that any number of starters may call it."""

import re

from alembic import context
from sqlalchemy import Connection, text

from driftline import embedded
from driftline.db.connection import connect, grant_roles
from driftline.db.schema import metadata
from driftline.settings import Settings

LOCK = 0x64726966_746C696E  # "driftlin"


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Partitions are data, not schema."""
    return not (kind == "table" and name and re.fullmatch(r"(transition|transition_count)_v\d+", name))


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, include_name=ours)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()
        grant_roles(connection)


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with connect(embedded.owner_url(Settings())).connect() as own:
        run(own)
        own.commit()
