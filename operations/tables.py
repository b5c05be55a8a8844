"""Transition tables: list, trace and look up. Two of them compared: `operations.changes`."""

from typing import Any

from driftline.db import tables as db_tables
from driftline.db.tables import Lookup, TransitionTable
from driftline.operations.context import Context


def list_tables(context: Context) -> list[TransitionTable]:
    """Every version, oldest first."""
    with context.engine.connect() as connection:
        return db_tables.list_tables(connection)


def get(context: Context, version: int | None = None) -> TransitionTable:
    """One version, by default the newest.

    Raises:
        ValueError: there is none.
    """
    with context.engine.connect() as connection:
        return db_tables.get(connection, db_tables.newest(connection) if version is None else version)


def lineage(context: Context, version: int) -> dict[str, Any]:
    """Everything that a version was made of, and everyone who had a say.

    Raises:
        ValueError: there is no such table.
    """
    with context.engine.connect() as connection:
        return db_tables.lineage(connection, version)


def lookup(context: Context, c1: int, c2: int, channel: str | None = None) -> Lookup:
    """The novel interest to explore after c1 and then c2, as serving reads it.

    Raises:
        ValueError: nothing is published on the channel, or there is no such pair.
    """
    with context.engine.connect() as connection:
        return db_tables.lookup(connection, c1, c2, channel or context.settings.channel)
