"""Channels: which table each one serves; publish, roll back, and every move so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftline.db import channels as db_channels
from driftline.db.channels import ANYTHING, Expect, Publication, ServedTable
from driftline.operations.context import Context
from driftline.operations.text import NAME, REASON, checked

if TYPE_CHECKING:
    from driftline.contracts import Published

_who, _why = "name of whoever moves a channel", "reason of whoever moves a channel"


def publish(context: Context, table: int, channel: str | None, actor: str, *, reason: str, force: bool = False) -> Published:
    """Serve a table that may be served; by default on the settings' channel. See `db_channels.publish`.

    Raises:
        ValueError: there is no such table, or it may not be served; name or reason is not one bounded line of printable text.
    """
    actor, reason = checked(_who, NAME, actor), checked(_why, REASON, reason)
    with context.engine.begin() as connection:
        return db_channels.publish(connection, table, channel or context.settings.channel, actor, reason=reason, force=force)


def roll_back(
    context: Context, channel: str | None, to: int | None, actor: str, *, reason: str, expected: int | Expect = ANYTHING
) -> Published:
    """Serve an earlier table again, by default the one before the current.

    Args:
        expected: the table that the caller last saw there; the channel moves only from that one.

    Raises:
        ValueError: there is nothing to go back to, or the table was rejected since; name or reason as of `publish`.
        Conflict: the channel does not serve `expected`.
    """
    actor, reason = checked(_who, NAME, actor), checked(_why, REASON, reason)
    with context.engine.begin() as connection:
        return db_channels.rollback(
            connection, channel or context.settings.channel, to, actor=actor, reason=reason, expected=expected
        )


def served(context: Context) -> list[ServedTable]:
    """What each channel serves, and whether that may still be served."""
    with context.engine.connect() as connection:
        return db_channels.served(connection)


def history(context: Context, channel: str | None = None) -> list[Publication]:
    """Every move of a channel (default: of all), newest first."""
    with context.engine.connect() as connection:
        return db_channels.history(connection, channel)
