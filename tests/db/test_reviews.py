from datetime import timedelta

import pytest
from sqlalchemy import Connection

from driftline.contracts import Verdict
from driftline.db import reviews
from tests.db import world


@pytest.fixture
def candidate(conn: Connection) -> int:
    version = world.add_table(conn)
    world.evaluate(conn, version, "recall")
    world.open_review(conn, version, "review-1", "recall")
    return version


def test_a_review_waits_with_its_evidence(conn: Connection, candidate: int) -> None:
    world.open_review(conn, candidate, "review-1", "recall")  # again, by a retry
    (waiting,) = reviews.waiting(conn)
    assert (waiting.review_id, waiting.candidate, waiting.failed_gates) == ("review-1", candidate, ["recall"])
    assert waiting.evidence["reasons"] == {"recall": "too low"}
    assert waiting.workflow_id == world.RUN.workflow_id
    assert waiting.decision is None
    assert waiting.expires_at == world.START + timedelta(days=400)


def test_the_first_verdict_stands(conn: Connection, candidate: int) -> None:
    approve = Verdict("review-1", "approve", "ada", "fine")
    assert reviews.record_verdict(conn, approve)
    assert reviews.record_verdict(conn, approve)
    assert not reviews.record_verdict(conn, Verdict("review-1", "abort", "bob", "no"))
    assert not reviews.expire(conn, "review-1")
    assert reviews.waiting(conn) == []
    closed = reviews.get(conn, "review-1")
    assert (closed.decision, closed.reviewer, closed.reason) == ("approve", "ada", "fine")


def test_an_unanswered_review_expires(conn: Connection, candidate: int) -> None:
    assert reviews.expire(conn, "review-1")
    assert reviews.expire(conn, "review-1")
    assert not reviews.record_verdict(conn, Verdict("review-1", "approve", "ada"))
    assert reviews.get(conn, "review-1").decision == "expired"


def test_a_foreign_verdict_names_no_review(conn: Connection) -> None:
    with pytest.raises(ValueError, match="no review stale"):
        reviews.record_verdict(conn, Verdict("stale", "approve", "ada"))


def test_a_review_needs_an_evaluation(conn: Connection) -> None:
    with pytest.raises(ValueError, match="evaluate it before"):
        world.open_review(conn, world.add_table(conn), "review-2", "recall")
