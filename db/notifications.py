"""Notifications: each is claimed before it is sent, so that no two attempts send it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from driftline.contracts import Delivery, Event, Level
from driftline.db.schema import notification, schedule_count

LEASE = timedelta(minutes=1)
"""A claim without a result that is older belongs to an attempt that died: the next attempt takes it over."""


@dataclass(frozen=True)
class Told:
    """A notification at one target; see the columns' comments."""

    id: int
    key: str
    target: str
    event: Event
    level: Level
    title: str
    state: Literal["claimed", "sent", "failed"]
    said: str
    attempts: int
    claimed_at: datetime
    created_at: datetime


def claim(conn: Connection, key: str, targets: Sequence[str], event: Event, level: Level, title: str) -> list[str]:
    """Take what is to be sent. Commit before sending.

    Returns:
        The targets that the caller has to send it to: those that have not got it and that no other attempt is at.
    """
    if not targets:
        return []
    row = {"key": key, "event": event, "level": level, "title": title, "state": "claimed", "said": "", "attempts": 1}
    fresh = insert(notification).values([{**row, "target": target} for target in sorted(targets)])
    # One of the future is older than it looks: Postgres' clock was set back.
    orphaned = (notification.c.state == "claimed") & ~notification.c.claimed_at.between(func.now() - LEASE, func.now() + LEASE)
    taken = fresh.on_conflict_do_update(
        index_elements=["key", "target"],
        set_={"state": "claimed", "attempts": notification.c.attempts + 1, "claimed_at": func.now()},
        where=(notification.c.state == "failed") | orphaned,
    )
    return list(conn.execute(taken.returning(notification.c.target)).scalars())


def settle(conn: Connection, key: str, deliveries: Sequence[Delivery]) -> None:
    """Note what became of claimed ones. What another attempt has sent meanwhile stays sent."""
    for made in deliveries:
        mine = (notification.c.key == key) & (notification.c.target == made.target) & (notification.c.state == "claimed")
        conn.execute(update(notification).where(mine).values(state=made.state, said=made.said))


def deliveries(conn: Connection, key: str) -> list[Delivery]:
    """How far a notification is at each target, in order of their names."""
    columns = (notification.c.target, notification.c.state, notification.c.said)
    rows = conn.execute(select(*columns).where(notification.c.key == key).order_by(notification.c.target))
    return [Delivery(row.target, row.state, row.said) for row in rows]


def newest(conn: Connection, limit: int) -> list[Told]:
    """Reads the notifications, the newest first."""
    rows = conn.execute(select(notification).order_by(notification.c.id.desc()).limit(limit)).mappings()
    return [Told(**row) for row in rows]


def known(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Selects the keys of messages that some target has got, or that are on their way."""
    return set(conn.execute(select(notification.c.key).where(notification.c.key.in_(keys))).scalars())


@dataclass(frozen=True)
class LeftOut:
    """Starts that a schedule has left out; `id` names the moment in which it was noticed."""

    id: int
    schedule: str
    skipped: int
    missed: int


def record_starts(conn: Connection, schedule: str, skipped: int, missed: int) -> None:
    """Keep a schedule's counters if they have changed."""
    query = select(schedule_count).where(schedule_count.c.schedule == schedule).order_by(schedule_count.c.id.desc()).limit(1)
    last = conn.execute(query).one_or_none()
    if last is None or (last.skipped, last.missed) != (skipped, missed):
        conn.execute(insert(schedule_count).values(schedule=schedule, skipped=skipped, missed=missed))


def left_out(conn: Connection, since: datetime) -> list[LeftOut]:
    """Reads the starts that were noticed since then to have been left out."""
    query = "SELECT id, schedule, skipped, missed FROM left_out_starts WHERE noticed_at >= :since AND skipped + missed > 0"
    return [LeftOut(**row) for row in conn.execute(text(f"{query} ORDER BY id"), {"since": since}).mappings()]
