"""Channels: what serving reads, and every move of them (design §5)."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Connection, func, insert, select, text, update

from driftline import contracts
from driftline.contracts import BadInput
from driftline.db import reviews, tables
from driftline.db.follow import NOTIFICATION
from driftline.db.keys import lock
from driftline.db.schema import channel as channels
from driftline.db.schema import publication, review, verdict

if TYPE_CHECKING:  # who only asks starts without what runs tell each other
    from driftline.contracts import Published, RunIds


class NotPublishable(ValueError):
    """The table may not be served; the message says what is missing."""


class NotApproved(NotPublishable):
    """A person's newest verdict is against the table."""


class Conflict(RuntimeError):
    """The channel has moved since the caller looked."""


class Expect(Enum):
    ANYTHING = "anything"


ANYTHING: Final = Expect.ANYTHING


@dataclass(frozen=True)
class Publication:
    """One row of `publication_history`."""

    id: int
    at: datetime
    channel: str
    action: Literal["publish", "rollback"]
    from_version: int | None
    to_version: int
    kind: str
    nominal: datetime
    actor: str
    reason: str
    gate_id: str | None
    reviewer: str | None
    review_reason: str | None
    workflow_id: str | None
    run_id: str | None


def current(conn: Connection, channel: str) -> int | None:
    """The table that a channel points at; None before its first publication."""
    return conn.execute(select(channels.c.table_version).where(channels.c.name == channel)).scalar_one_or_none()


def list_channels(conn: Connection) -> dict[str, int]:
    """Every channel and the table it points at."""
    return {row.name: row.table_version for row in conn.execute(select(channels).order_by(channels.c.name))}


@dataclass(frozen=True)
class ServedTable:
    """What a channel serves. `verdict` … `decided_at`: a person's newest verdict about that table."""

    channel: str
    version: int
    kind: str
    nominal: datetime
    since: datetime
    actor: str
    approved: bool
    verdict: str | None
    reviewer: str | None
    known_by: str | None
    verdict_reason: str | None
    decided_at: datetime | None
    rollback_to: int | None
    """The newest table that the channel served before and that is still approved."""

    @property
    def warning(self) -> str | None:
        """One sentence if the table is no longer approved: since when, by whom, and what to do."""
        if self.approved:
            return None
        why = f" ({self.verdict} by {self.reviewer}, {self.decided_at:%Y-%m-%d %H:%M} UTC)" if self.verdict else ""
        back = f" --to {self.rollback_to}" if self.rollback_to else ""
        advice = f"`driftline tables rollback --channel {self.channel}{back}`" if back else "it served no other that is"
        return f"channel {self.channel} serves table {self.version}, which is not approved{why}: {advice}"


def served(conn: Connection) -> list[ServedTable]:
    """Every channel with the table that it serves: the rows of `channel_overview`."""
    rows = conn.execute(text("SELECT * FROM channel_overview ORDER BY channel")).mappings()
    return [ServedTable(**{field.name: row[field.name] for field in fields(ServedTable)}) for row in rows]


def publish(
    conn: Connection,
    table: int,
    channel: str,
    actor: str,
    *,
    reason: str = "",
    review_id: str | None = None,
    run: RunIds | None = None,
    expected: int | Expect | None = ANYTHING,
    force: bool = False,
) -> Published:
    """Point a channel at a table, in the caller's transaction.

    Asking again changes nothing: neither when the channel is there already, nor when this very run published the table before
    and the channel has moved on since (a late retry does not undo a rollback).

    Args:
        review_id: the review whose approval permits this.
        expected: the table that the caller last saw there (None: nothing yet); it moves only from that one.
        force: also over a table of a later nominal time, which otherwise makes this one `superseded`.

    Raises:
        BadInput: there is no such table.
        NotPublishable: incomplete, not evaluated, or stopped for a review that did not approve it.
        Conflict: the channel does not point at `expected`.
    """
    _require_publishable(conn, table, review_id)
    lock(conn, f"channel:{channel}")
    at = current(conn, channel)
    if at == table or _published_by(conn, table, channel, run):
        return contracts.Published("published", channel, table)
    _require_expected(channel, at, expected)
    if at is not None and not force and tables.get(conn, at).nominal > tables.get(conn, table).nominal:
        return contracts.Published("superseded", channel, table)
    _move(conn, channel, at, table, "publish", actor=actor, reason=reason, review_id=review_id, run=run)
    return contracts.Published("published", channel, table)


def rollback(
    conn: Connection,
    channel: str,
    to_version: int | None = None,
    *,
    actor: str,
    reason: str,
    expected: int | Expect | None = ANYTHING,
) -> Published:
    """Point a channel back at a table it has served before; without `to_version`, at the one before the current.

    Args:
        expected: as of `publish`.

    Raises:
        BadInput: there is nothing to go back to, or the channel never served that table.
        NotPublishable: the table was rejected since.
        Conflict: the channel does not point at `expected`.
    """
    lock(conn, f"channel:{channel}")
    at = current(conn, channel)
    _require_expected(channel, at, expected)
    moves = [move for move in history(conn, channel) if move.action == "publish"]
    if to_version is None:
        to_version = next((move.from_version for move in moves if move.to_version == at), None)
        if to_version is None:
            raise BadInput(f"channel {channel!r} has no earlier table to go back to: see `driftline tables list`")
    elif to_version not in {move.to_version for move in moves}:
        raise BadInput(f"channel {channel!r} never served table {to_version}: use `driftline tables publish {to_version}`")
    if to_version != at:
        _require_publishable(conn, to_version, None)
        _move(conn, channel, at, to_version, "rollback", actor=actor, reason=reason, review_id=None, run=None)
    return contracts.Published("published", channel, to_version)


def history(conn: Connection, channel: str | None = None) -> list[Publication]:
    """Moves of one channel, or of all; newest first."""
    query = "SELECT * FROM publication_history WHERE channel = coalesce(:channel, channel) ORDER BY id DESC"
    return [Publication(**row) for row in conn.execute(text(query), {"channel": channel}).mappings()]


def _require_publishable(conn: Connection, table: int, review_id: str | None) -> None:
    candidate = tables.get(conn, table)
    if not candidate.complete:
        from driftline.interests.pairs import pair_count

        pairs = pair_count(candidate.clusters)
        raise NotPublishable(f"table {table} has {candidate.rows} of {pairs} pairs: run its workflow again")
    if candidate.pruned_at is not None:
        raise NotPublishable(
            f"the rows of table {table} were pruned on {candidate.pruned_at:%Y-%m-%d}: run its workflow again, with "
            f"--at {candidate.nominal:%Y-%m-%d}"
        )
    if candidate.failed_gates is None:
        raise NotPublishable(f"table {table} was not evaluated: run its workflow to the end")
    if not candidate.approved:
        against = reviews.newest_verdict(conn, table)
        if against is not None and against.decision != "approve":
            raise NotApproved(f"table {table} cannot be published: {against}")
        failed = ", ".join(candidate.failed_gates) or "review"
        raise NotPublishable(f"table {table} is stopped ({failed}) and nobody approved it: see `driftline review list`")
    if review_id is not None:
        approval = select(review.c.gate_id).join(verdict, verdict.c.gate_id == review.c.gate_id)
        approval = approval.where(review.c.gate_id == review_id, review.c.table_version == table, verdict.c.decision == "approve")
        if conn.execute(approval).one_or_none() is None:
            raise NotPublishable(f"review {review_id} did not approve table {table}: see `driftline review show {review_id}`")


def _require_expected(channel: str, at: int | None, expected: int | Expect | None) -> None:
    if expected is not ANYTHING and at != expected:
        raise Conflict(f"channel {channel!r} points at {_name(at)}, not at {_name(expected)}: look again, then retry")


def _published_by(conn: Connection, table: int, channel: str, run: RunIds | None) -> bool:
    if run is None:
        return False
    by_run = (publication.c.workflow_id == run.workflow_id) & (publication.c.run_id == run.run_id)
    query = select(publication.c.id).where(publication.c.channel == channel, publication.c.to_version == table, by_run)
    return conn.execute(query).first() is not None


def _move(
    conn: Connection,
    channel: str,
    at: int | None,
    to: int,
    action: Literal["publish", "rollback"],
    *,
    actor: str,
    reason: str,
    review_id: str | None,
    run: RunIds | None,
) -> None:
    row: dict[str, Any] = {"channel": channel, "from_version": at, "to_version": to, "action": action, "actor": actor}
    row |= {"reason": reason, "gate_id": review_id}
    row |= {"workflow_id": run.workflow_id if run else None, "run_id": run.run_id if run else None}
    move = conn.execute(insert(publication).values(row).returning(publication.c.id)).scalar_one()
    if at is None:
        conn.execute(insert(channels).values(name=channel, table_version=to, publication=move))
    else:
        swap = update(channels).where(channels.c.name == channel, channels.c.table_version == at)
        if conn.execute(swap.values(table_version=to, publication=move)).rowcount != 1:
            raise Conflict(f"channel {channel!r} no longer points at {_name(at)}: look again, then retry")
    payload = {"channel": channel, "from": at, "to": to, "action": action, "publication": move}
    conn.execute(select(func.pg_notify(NOTIFICATION, json.dumps(payload))))


def _name(table: int | Expect | None) -> str:
    return "nothing" if table is None else f"table {table}"
