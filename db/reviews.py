"""Reviews: candidates that wait for a person, and how each was decided."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects.postgresql import insert

from contracts import BadInput, ClosedReview, OpenReview, Verdict
from db.schema import evaluation, review, verdict


@dataclass(frozen=True)
class Review:
    """`decision` ("approve" | "rerun" | "abort" | "expired"), `reviewer`, `reason`, `decided_at` are `None` while it waits."""

    review_id: str
    candidate: int
    """The transition table."""
    failed_gates: list[str]
    evidence: dict[str, Any]
    workflow_id: str
    run_id: str
    waiting_since: datetime
    expires_at: datetime
    decision: str | None
    reviewer: str | None
    reason: str | None
    decided_at: datetime | None


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
    }
    conn.execute(insert(review).values(row).on_conflict_do_nothing())


def record_verdict(conn: Connection, given: Verdict) -> bool:
    """Store a person's decision. True if it stands (also when it stood already), False if the review has another one.

    Raises:
        BadInput: there is no such review.
    """
    return _close(conn, given.review_id, given.decision, given.reviewer, given.reason)


def expire(conn: Connection, review_id: str, reason: str = "no verdict in time") -> bool:
    """Close a review that nobody answered. False if somebody did.

    Raises:
        BadInput: there is no such review.
    """
    return _close(conn, review_id, "expired", "driftline", reason)


def waiting(conn: Connection) -> list[Review]:
    """Reviews without a verdict, longest waiting first."""
    query = _reviews().where(verdict.c.gate_id.is_(None)).order_by(review.c.opened_at, review.c.gate_id)
    return [Review(**row) for row in conn.execute(query).mappings()]


def get(conn: Connection, review_id: str) -> Review:
    """Raises BadInput: there is no such review."""
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
    return ClosedReview(found.decision, found.reviewer) if found.decision and found.reviewer else None  # type: ignore[arg-type]


def _close(conn: Connection, review_id: str, decision: str, reviewer: str, reason: str) -> bool:
    get(conn, review_id)
    row = {"gate_id": review_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    conn.execute(insert(verdict).values(row).on_conflict_do_nothing())
    stands = get(conn, review_id)
    return (stands.decision, stands.reviewer, stands.reason) == (decision, reviewer, reason)


def _reviews() -> Select[Any]:
    columns: list[Any] = [review.c.gate_id.label("review_id"), review.c.table_version.label("candidate")]
    columns += [review.c.failed_gates, review.c.evidence, review.c.workflow_id, review.c.run_id]
    columns += [review.c.opened_at.label("waiting_since"), review.c.expires_at]
    columns += [verdict.c.decision, verdict.c.reviewer, verdict.c.reason, verdict.c.decided_at]
    return select(*columns).join(verdict, verdict.c.gate_id == review.c.gate_id, isouter=True)
