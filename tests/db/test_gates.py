from datetime import timedelta

import pytest
from sqlalchemy import Connection

from contracts import Verdict
from db import gates
from tests.db import world


@pytest.fixture
def candidate(conn: Connection) -> int:
    version = world.add_table(conn)
    world.evaluate(conn, version, "recall")
    world.open_gate(conn, version, "gate-1", "recall")
    return version


def test_a_gate_waits_with_its_evidence(conn: Connection, candidate: int) -> None:
    world.open_gate(conn, candidate, "gate-1", "recall")  # again, by a retry
    (waiting,) = gates.waiting(conn)
    assert (waiting.gate_id, waiting.candidate, waiting.failed_gates) == ("gate-1", candidate, ["recall"])
    assert waiting.evidence["reasons"] == {"recall": "too low"}
    assert waiting.workflow_id == world.RUN.workflow_id
    assert waiting.decision is None
    assert waiting.expires_at == world.START + timedelta(days=400)


def test_the_first_verdict_stands(conn: Connection, candidate: int) -> None:
    approve = Verdict("gate-1", "approve", "ada", "fine")
    assert gates.record_verdict(conn, approve)
    assert gates.record_verdict(conn, approve)
    assert not gates.record_verdict(conn, Verdict("gate-1", "abort", "bob", "no"))
    assert not gates.expire(conn, "gate-1")
    assert gates.waiting(conn) == []
    closed = gates.get(conn, "gate-1")
    assert (closed.decision, closed.reviewer, closed.reason) == ("approve", "ada", "fine")


def test_an_unanswered_gate_expires(conn: Connection, candidate: int) -> None:
    assert gates.expire(conn, "gate-1")
    assert gates.expire(conn, "gate-1")
    assert not gates.record_verdict(conn, Verdict("gate-1", "approve", "ada"))
    assert gates.get(conn, "gate-1").decision == "expired"


def test_a_foreign_verdict_names_no_gate(conn: Connection) -> None:
    with pytest.raises(ValueError, match="no gate stale"):
        gates.record_verdict(conn, Verdict("stale", "approve", "ada"))


def test_a_gate_needs_an_evaluation(conn: Connection) -> None:
    with pytest.raises(ValueError, match="evaluate it before"):
        world.open_gate(conn, world.add_table(conn), "gate-2", "recall")
