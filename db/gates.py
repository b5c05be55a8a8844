"""Gates that stopped a candidate, and how each was closed."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects.postgresql import insert

from contracts import OpenGate, Verdict
from db.schema import evaluation, gate, review


@dataclass(frozen=True)
class Gate:
    """`decision` ("approve" | "rerun" | "abort" | "expired"), `reviewer`, `reason`, `decided_at` are `None` while it waits."""

    gate_id: str
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


def open(conn: Connection, request: OpenGate) -> None:
    """Record that a candidate waits for review. The same gate is opened once.

    Raises:
        ValueError: the candidate was not evaluated first.
    """
    newest = select(evaluation.c.id).where(evaluation.c.table_version == request.table).order_by(evaluation.c.id.desc()).limit(1)
    stopped_by = conn.execute(newest).scalar_one_or_none()
    if stopped_by is None:
        raise ValueError(f"transition table {request.table} has no evaluation: evaluate it before opening a gate")
    row = {
        "gate_id": request.gate_id,
        "table_version": request.table,
        "evaluation": stopped_by,
        "failed_gates": list(request.evaluation.failed_gates),
        "evidence": asdict(request.evaluation),
        "workflow_id": request.run.workflow_id,
        "run_id": request.run.run_id,
        "expires_at": request.expires_at,
    }
    conn.execute(insert(gate).values(row).on_conflict_do_nothing())


def record_verdict(conn: Connection, verdict: Verdict) -> bool:
    """Store a person's decision. True if it stands (also when it stood already), False if the gate has another one.

    Raises:
        ValueError: there is no such gate.
    """
    return _close(conn, verdict.gate_id, verdict.decision, verdict.reviewer, verdict.reason)


def expire(conn: Connection, gate_id: str, reason: str = "no verdict in time") -> bool:
    """Close a gate that nobody answered. False if somebody did.

    Raises:
        ValueError: there is no such gate.
    """
    return _close(conn, gate_id, "expired", "driftline", reason)


def waiting(conn: Connection) -> list[Gate]:
    """Gates without a verdict, longest waiting first."""
    query = _gates().where(review.c.gate_id.is_(None)).order_by(gate.c.opened_at, gate.c.gate_id)
    return [Gate(**row) for row in conn.execute(query).mappings()]


def get(conn: Connection, gate_id: str) -> Gate:
    """Raises ValueError: there is no such gate."""
    row = conn.execute(_gates().where(gate.c.gate_id == gate_id)).mappings().one_or_none()
    if row is None:
        raise ValueError(f"no gate {gate_id}: see `driftline review list`")
    return Gate(**row)


def _close(conn: Connection, gate_id: str, decision: str, reviewer: str, reason: str) -> bool:
    get(conn, gate_id)
    row = {"gate_id": gate_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    conn.execute(insert(review).values(row).on_conflict_do_nothing())
    stands = get(conn, gate_id)
    return (stands.decision, stands.reviewer, stands.reason) == (decision, reviewer, reason)


def _gates() -> Select[Any]:
    columns = [gate.c.gate_id, gate.c.table_version.label("candidate"), gate.c.failed_gates, gate.c.evidence]
    columns += [gate.c.workflow_id, gate.c.run_id, gate.c.opened_at.label("waiting_since"), gate.c.expires_at]
    columns += [review.c.decision, review.c.reviewer, review.c.reason, review.c.decided_at]
    return select(*columns).join(review, review.c.gate_id == gate.c.gate_id, isouter=True)
