"""Reviews: candidates that wait for a person, and how each was decided."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.errors import InsufficientPrivilege, InvalidParameterValue
from sqlalchemy import Connection, Select, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from driftline import contracts
from driftline.contracts import BadInput
from driftline.db import tables
from driftline.db.keys import lock
from driftline.db.schema import evaluation, review, verdict

if TYPE_CHECKING:  # who only asks starts without what runs tell each other
    from driftline.contracts import ClosedReview, Closing, Decision, KnownBy, OpenReview, Verdict


@dataclass(frozen=True)
class Review:
    """A candidate that waits for a person, or waited. `decision`, `reviewer`, `known_by`, `reason` and `decided_at` are `None`
    while it waits."""

    review_id: str
    candidate: int
    """The transition table."""
    failed_gates: list[str]
    evidence: dict[str, Any]
    workflow_id: str
    run_id: str
    waiting_since: datetime
    expires_at: datetime
    channel: str | None
    decision: str | None
    reviewer: str | None
    known_by: KnownBy | None
    reason: str | None
    decided_at: datetime | None


@dataclass(frozen=True)
class TableVerdict:
    """A decision about a table; `review_id` is the review that it closed, `None` for `revoke`."""

    version: int
    decision: Decision | Closing
    reviewer: str
    known_by: KnownBy
    reason: str
    decided_at: datetime
    review_id: str | None

    def __str__(self) -> str:
        said = f"{self.decision} by {self.reviewer}, {self.decided_at:%Y-%m-%d %H:%M} UTC"
        return f"{said}: {self.reason}" if self.reason else said


def open(conn: Connection, request: OpenReview) -> None:
    """Record that a candidate waits for review. The same review is opened once.

    Raises:
        BadInput: the candidate was not evaluated first.
    """
    newest = select(evaluation.c.id).where(evaluation.c.table_version == request.table).order_by(evaluation.c.id.desc()).limit(1)
    stopped_by = conn.execute(newest).scalar_one_or_none()
    if stopped_by is None:
        raise BadInput(f"transition table {request.table} has no evaluation: evaluate it before opening a review")
    row = {
        "gate_id": request.review_id,
        "table_version": request.table,
        "evaluation": stopped_by,
        "failed_gates": list(request.evaluation.failed_gates),
        "evidence": asdict(request.evaluation),
        "workflow_id": request.run.workflow_id,
        "run_id": request.run.run_id,
        "expires_at": request.expires_at,
        "channel": request.channel,
    }
    conn.execute(insert(review).values(row).on_conflict_do_nothing())


def record_verdict(conn: Connection, given: Verdict) -> bool:
    """Store a person's decision. True if it stands (also when it stood already), False if the review has another one.

    Raises:
        BadInput: there is no such review, or nothing to revoke.
    """
    if given.decision == "revoke":
        return revoke(conn, get(conn, given.review_id).candidate, given.reviewer, given.reason, given.known_by)
    return _close(conn, given.review_id, given.decision, given.reviewer, given.reason, given.known_by)


def revoke(conn: Connection, table: int, reviewer: str, reason: str, known_by: KnownBy) -> bool:
    """Records a `revoke`: the table may not be served any more, whoever or whatever approved it. A second one changes nothing.

    Raises:
        BadInput: there is no such table, or it is not approved.
    """
    lock(conn, f"verdict:{table}")
    if not tables.get(conn, table).approved:
        newest = newest_verdict(conn, table)
        if newest is not None and (newest.decision, newest.reviewer, newest.reason) == ("revoke", reviewer, reason):
            return True
        raise BadInput(f"table {table} is not approved{f' ({newest})' if newest else ''}: there is nothing to revoke")
    return _record(conn, table, None, "revoke", reviewer, reason, known_by)


def login(conn: Connection) -> str | None:
    """Under whose name the database takes verdicts from this connection; None if it takes those of others, as from workers."""
    query = "SELECT session_user WHERE NOT has_table_privilege(session_user, 'transition_table', 'INSERT')"
    return conn.execute(text(query)).scalar_one_or_none()


def newest_verdict(conn: Connection, table: int) -> TableVerdict | None:
    """A person's newest verdict about a table: it decides whether the table may be served."""
    row = conn.execute(text("SELECT * FROM table_verdict WHERE version = :table"), {"table": table}).mappings().one_or_none()
    return None if row is None else TableVerdict(**{field.name: row[field.name] for field in fields(TableVerdict)})


def verdicts_about(conn: Connection, table: int) -> list[TableVerdict]:
    """Everything that was decided about a table, oldest first; also what Driftline itself closed."""
    query = select(verdict, verdict.c.table_version.label("version"), verdict.c.gate_id.label("review_id"))
    rows = conn.execute(query.where(verdict.c.table_version == table).order_by(verdict.c.id)).mappings()
    return [TableVerdict(**{field.name: row[field.name] for field in fields(TableVerdict)}) for row in rows]


def expire(conn: Connection, review_id: str, reason: str = "no verdict in time") -> bool:
    """Close a review that nobody answered. False if somebody did.

    Raises:
        BadInput: there is no such review.
    """
    return _close(conn, review_id, "expired", "driftline", reason, "system")


def supersede(conn: Connection, table: int, channel: str) -> list[Review]:
    """Close every review that waits for an older candidate of the same kind and channel. Asking again gives the same reviews.

    Returns:
        The reviews that this candidate has closed.
    """
    newer = tables.get(conn, table)
    reason = f"table {table} of {newer.nominal:%Y-%m-%d} came"
    for older in waiting(conn):
        about = tables.get(conn, older.candidate)
        if (about.kind, older.channel) == (newer.kind, channel) and about.nominal < newer.nominal:
            _close(conn, older.review_id, "superseded", "driftline", reason, "system")
    closed = _reviews().where(verdict.c.decision == "superseded", verdict.c.reason == reason, review.c.channel == channel)
    return [Review(**row) for row in conn.execute(closed).mappings()]


def waiting(conn: Connection) -> list[Review]:
    """Reviews without a verdict, longest waiting first."""
    query = _reviews().where(verdict.c.gate_id.is_(None)).order_by(review.c.opened_at, review.c.gate_id)
    return [Review(**row) for row in conn.execute(query).mappings()]


def decided(conn: Connection, limit: int) -> list[Review]:
    """Reviews with a verdict, newest first."""
    query = _reviews().where(verdict.c.gate_id.is_not(None)).order_by(verdict.c.id.desc()).limit(limit)
    return [Review(**row) for row in conn.execute(query).mappings()]


def about(conn: Connection, table: int) -> list[Review]:
    """Every review of a table, oldest first."""
    query = _reviews().where(review.c.table_version == table).order_by(review.c.opened_at, review.c.gate_id)
    return [Review(**row) for row in conn.execute(query).mappings()]


def get(conn: Connection, review_id: str) -> Review:
    """Reads one review. Raises BadInput: there is no such review."""
    row = conn.execute(_reviews().where(review.c.gate_id == review_id)).mappings().one_or_none()
    if row is None:
        raise BadInput(f"no review {review_id}: see `driftline review list`")
    return Review(**row)


def closed(conn: Connection, review_id: str) -> ClosedReview | None:
    """How a review ended; None while it waits.

    Raises:
        BadInput: there is no such review.
    """
    found = get(conn, review_id)
    return contracts.ClosedReview(found.decision, found.reviewer) if found.decision and found.reviewer else None  # type: ignore[arg-type]


def _close(conn: Connection, review_id: str, decision: str, reviewer: str, reason: str, known_by: KnownBy) -> bool:
    return _record(conn, get(conn, review_id).candidate, review_id, decision, reviewer, reason, known_by)


def _record(
    conn: Connection, table: int, review_id: str | None, decision: str, reviewer: str, reason: str, known_by: KnownBy
) -> bool:
    """Stores a verdict by the database's own function, the only way to such a row, whoever connects."""
    query = text("SELECT record_verdict(:table, :review_id, :decision, :reviewer, :reason, :known_by)")
    given = {"table": table, "review_id": review_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    try:
        with conn.begin_nested():
            return bool(conn.execute(query, given | {"known_by": known_by}).scalar_one())
    except DBAPIError as error:
        if isinstance(error.orig, InsufficientPrivilege | InvalidParameterValue):
            raise BadInput(str(error.orig.diag.message_primary)) from None
        raise


def _reviews() -> Select[Any]:
    columns: list[Any] = [review.c.gate_id.label("review_id"), review.c.table_version.label("candidate")]
    columns += [review.c.failed_gates, review.c.evidence, review.c.workflow_id, review.c.run_id]
    columns += [review.c.opened_at.label("waiting_since"), review.c.expires_at, review.c.channel]
    columns += [verdict.c.decision, verdict.c.reviewer, verdict.c.known_by, verdict.c.reason, verdict.c.decided_at]
    return select(*columns).join(verdict, verdict.c.gate_id == review.c.gate_id, isouter=True)
