"""Approvals that wait for those of a second person."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from driftline.contracts import KnownBy
from driftline.db.schema import consent


@dataclass(frozen=True)
class Consent:
    """Somebody who would approve a review that takes two. `shown`: what this person saw; the fingerprint of
    `operations.reviews`."""

    reviewer: str
    known_by: KnownBy
    shown: str
    reason: str
    given_at: datetime


def add(conn: Connection, review_id: str, reviewer: str, known_by: KnownBy, shown: str, reason: str) -> None:
    """Record that somebody would approve. The same again changes nothing."""
    row = {"gate_id": review_id, "reviewer": reviewer, "known_by": known_by, "shown": shown, "reason": reason}
    conn.execute(insert(consent).values(row).on_conflict_do_nothing())


def of(conn: Connection, review_id: str) -> list[Consent]:
    """Everybody who would approve a review, in order."""
    columns = [consent.c[field.name] for field in fields(Consent)]
    rows = conn.execute(select(*columns).where(consent.c.gate_id == review_id).order_by(consent.c.id)).mappings()
    return [Consent(**row) for row in rows]
