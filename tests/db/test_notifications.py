"""Claims: a notification is sent by one attempt at a time, and by another only if that one failed or died."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from driftline.contracts import Delivery
from driftline.db import notifications as db_notifications
from tests.db.test_roles import acting_as, refused

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def claim(conn: Connection, *targets: str, key: str = "published:a") -> list[str]:
    return db_notifications.claim(conn, key, targets or ("ops",), "published", "info", "Table 7 is published")


def grow_old(conn: Connection, seconds: int) -> None:
    conn.execute(text("UPDATE notification SET claimed_at = claimed_at - make_interval(secs => :s)"), {"s": seconds})


def test_what_is_claimed_or_sent_is_not_claimed_again(conn: Connection) -> None:
    assert claim(conn, "ops", "chat") == ["chat", "ops"]
    assert claim(conn, "ops", "chat") == []
    db_notifications.settle(conn, "published:a", [Delivery("ops", "sent", "sent"), Delivery("chat", "failed", "refused")])
    grow_old(conn, 3600)
    assert claim(conn, "ops", "chat", "new") == ["chat", "new"]
    assert claim(conn, key="published:b") == ["ops"]
    assert {(t.target, t.attempts) for t in db_notifications.newest(conn, 9) if t.key == "published:a"} == {
        ("ops", 1),
        ("chat", 2),
        ("new", 1),
    }


def test_the_claim_of_an_attempt_that_died_is_taken_over_when_its_lease_has_run_out(conn: Connection) -> None:
    claim(conn)
    grow_old(conn, int(db_notifications.LEASE.total_seconds()) - 5)
    assert claim(conn) == []
    grow_old(conn, 10)
    assert claim(conn) == ["ops"]


def test_a_claim_that_was_made_before_postgres_clock_was_set_back_is_taken_over(conn: Connection) -> None:
    claim(conn)
    grow_old(conn, -3600)
    assert claim(conn) == ["ops"]


def test_a_late_result_does_not_undo_what_was_sent_meanwhile(conn: Connection) -> None:
    claim(conn)
    db_notifications.settle(conn, "published:a", [Delivery("ops", "sent", "sent")])
    db_notifications.settle(conn, "published:a", [Delivery("ops", "failed", "refused")])
    assert db_notifications.deliveries(conn, "published:a") == [Delivery("ops", "sent", "sent")]


def test_of_two_attempts_at_once_one_sends(engine: Engine) -> None:
    start, claimed = threading.Barrier(4), []

    def attempt() -> None:
        with engine.begin() as conn:
            start.wait()
            claimed.extend(claim(conn))

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claimed == ["ops"]


def test_starts_are_told_by_how_many_were_left_out_since_the_last_look(conn: Connection) -> None:
    for skipped, missed in ((2, 0), (2, 0), (3, 1), (1, 1)):  # the schedule was made anew before the last
        db_notifications.record_starts(conn, "driftline-rag-refresh", skipped, missed)
    found = db_notifications.left_out(conn, LONG_AGO)
    assert [(each.skipped, each.missed) for each in found] == [(2, 0), (1, 1), (1, 0)]
    assert db_notifications.left_out(conn, datetime.now(UTC) + timedelta(days=1)) == []


def test_a_worker_notes_what_became_of_it_and_changes_nothing_else(conn: Connection) -> None:
    claim(conn)
    assert not refused(conn, "driftline_worker", "UPDATE notification SET state = 'sent', said = '', attempts = 2")
    for role in ("driftline_worker", "driftline_reader", "driftline_reviewer"):
        assert refused(conn, role, "UPDATE notification SET title = 'another'")
        assert refused(conn, role, "DELETE FROM notification")
        assert refused(conn, role, "UPDATE schedule_count SET skipped = 0")
        with acting_as(conn, role):
            assert conn.execute(text("SELECT count(*) FROM left_out_starts")).scalar_one() == 0
    for role in ("driftline_reader", "driftline_reviewer"):
        assert refused(conn, role, "UPDATE notification SET state = 'failed'")
