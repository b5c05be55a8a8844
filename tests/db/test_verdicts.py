"""The newest verdict about a table decides, for publishing, for models and for serving alike; the rules hold in SQL, too."""

import threading
import time
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from driftline.contracts import Evaluation, Verdict
from driftline.db import channels, connection, evaluations, models, reviews, tables
from driftline.db.channels import NotApproved, NotPublishable
from tests.db import world


@pytest.fixture
def approved(conn: Connection) -> int:
    """A table that a gate stopped and a person approved, served on `default`."""
    version = world.add_table(conn)
    world.evaluate(conn, version, "recall")
    world.open_review(conn, version, "review-1", "recall")
    reviews.record_verdict(conn, Verdict("review-1", "approve", "ada", "fine"))
    channels.publish(conn, version, "default", "ada", review_id="review-1")
    return version


def judge_again(conn: Connection, version: int, *failed: str, always: bool = False) -> Evaluation:
    """As a run does that is started again with the same date."""
    judged = world.evaluation(*failed)
    counts = world.add_counts(conn, tables.get(conn, version).cluster_set, day=200)
    return evaluations.add(conn, version, counts, Evaluation(**{**vars(judged), "review_required": always}))


def withdrawn(conn: Connection, version: int) -> bool:
    """Nothing takes it any more: no publication, no model, not the view; and its channel says so."""
    with pytest.raises(NotApproved):
        channels.publish(conn, version, "other", "test")
    (seen,) = channels.served(conn)
    return not (tables.get(conn, version).approved or models.newest_approved(conn) or seen.approved)


def test_an_approval_is_taken_back_by_the_abort_of_a_later_review(conn: Connection, approved: int) -> None:
    assert models.newest_approved(conn)
    judge_again(conn, approved, "recall")
    world.open_review(conn, approved, "review-2", "recall")
    reviews.record_verdict(conn, Verdict("review-2", "abort", "ben", "I looked again"))
    assert withdrawn(conn, approved)


def test_an_approval_is_revoked(conn: Connection, approved: int) -> None:
    assert reviews.record_verdict(conn, Verdict("review-1", "revoke", "ben", "broken log"))
    assert reviews.record_verdict(conn, Verdict("review-1", "revoke", "ben", "broken log"))  # by a retry
    assert withdrawn(conn, approved)
    assert [v.decision for v in reviews.verdicts_about(conn, approved)] == ["approve", "revoke"]
    with pytest.raises(ValueError, match=r"table \d+ is not approved \(revoke by ben.*broken log\): there is nothing to revoke"):
        reviews.revoke(conn, approved, "cem", "me too", "claimed")


def test_what_the_gates_approved_can_be_revoked_and_approved_again(conn: Connection) -> None:
    version = world.add_good_table(conn)
    channels.publish(conn, version, "default", "driftline")
    reviews.revoke(conn, version, "ada", "nonsense for new users", "login")
    assert withdrawn(conn, version)
    again = judge_again(conn, version)
    assert again.review_required  # the gates have nothing against it, a person has
    world.open_review(conn, version, "review-1")
    reviews.record_verdict(conn, Verdict("review-1", "approve", "ada", "it was the log"))
    assert channels.publish(conn, version, "other", "ada", review_id="review-1").outcome == "published"
    assert not judge_again(conn, version).review_required
    assert tables.get(conn, version).approved


@pytest.mark.parametrize("decision", ["abort", "rerun"])
def test_a_rejection_holds_against_other_thresholds(conn: Connection, decision: str) -> None:
    version = world.add_table(conn)
    world.evaluate(conn, version, "recall")
    world.open_review(conn, version, "review-1", "recall")
    reviews.record_verdict(conn, Verdict("review-1", decision, "ada"))  # type: ignore[arg-type]
    assert judge_again(conn, version).review_required  # nothing fails by the lower threshold
    with pytest.raises(NotApproved, match=f"{decision} by ada"):
        channels.publish(conn, version, "default", "test")


def test_an_approval_does_not_speak_for_gates_that_fail_later(conn: Connection, approved: int) -> None:
    judge_again(conn, approved, "exact_match_rate", "recall")
    assert not tables.get(conn, approved).approved
    judge_again(conn, approved)
    assert tables.get(conn, approved).approved


def test_silence_takes_nothing_back(conn: Connection, approved: int) -> None:
    judge_again(conn, approved, "recall")
    world.open_review(conn, approved, "review-2", "recall")
    assert tables.get(conn, approved).approved
    reviews.expire(conn, "review-2")
    assert tables.get(conn, approved).approved


def test_review_always_has_no_gap(conn: Connection) -> None:
    """From the transaction that judged it on, nobody publishes it; also if its review is never opened."""
    version = world.add_table(conn)
    assert judge_again(conn, version, always=True).review_required
    with pytest.raises(NotPublishable, match=r"stopped \(review\)"):
        channels.publish(conn, version, "default", "test")
    assert models.newest_approved(conn) is None


def test_the_pointer_itself_refuses(conn: Connection, approved: int) -> None:
    """Whoever writes SQL: an old publication of a table that was revoked since does not bring it back."""
    other = world.add_good_table(conn, day=1)
    channels.publish(conn, other, "default", "test")
    reviews.revoke(conn, approved, "ben", "", "claimed")
    published = "SELECT to_version, id FROM publication WHERE to_version = :v LIMIT 1"
    move = f"UPDATE channel SET (table_version, publication) = ({published})"
    with pytest.raises(IntegrityError, match="channel default cannot serve it"), conn.begin_nested():
        conn.execute(text(move), {"v": approved})
    with pytest.raises(NotPublishable):
        channels.rollback(conn, "default", approved, actor="ada", reason="")


def test_a_channel_says_that_its_table_was_revoked_and_offers_the_roll_back(conn: Connection) -> None:
    first, second, third = (world.add_good_table(conn, day=day) for day in range(3))
    for version in (first, second, third):
        channels.publish(conn, version, "default", "driftline")
    (seen,) = channels.served(conn)
    assert (seen.approved, seen.warning, seen.rollback_to) == (True, None, second)
    reviews.revoke(conn, second, "ada", "", "claimed")
    reviews.revoke(conn, third, "ada", "wrong", "claimed")
    (seen,) = channels.served(conn)
    assert (seen.version, seen.verdict, seen.reviewer, seen.rollback_to) == (third, "revoke", "ada", first)
    assert seen.warning
    assert f"rollback --channel default --to {first}" in seen.warning
    assert tables.lineage(conn, third)["verdicts"][0]["reason"] == "wrong"
    assert not tables.lookup(conn, 0, 1).approved


def test_a_newer_candidate_supersedes_older_ones_of_its_kind_and_channel(conn: Connection) -> None:
    older, newer, later = (world.add_table(conn, day=day, kind="rag") for day in (0, 1, 2))
    other_kind = world.add_table(conn)
    for name, version, channel in (
        *[("older", older, "default"), ("newer", newer, "default"), ("later", later, "default")],
        *[("elsewhere", older, "trial"), ("kind", other_kind, "default")],
    ):
        world.evaluate(conn, version, "recall")
        world.open_review(conn, version, name, "recall", channel=channel)
    for _ in range(2):  # asked again by a retry that has still to tell the runs
        assert [review.review_id for review in reviews.supersede(conn, newer, "default")] == ["older"]
    assert {review.review_id for review in reviews.waiting(conn)} == {"newer", "later", "elsewhere", "kind"}
    closed = reviews.get(conn, "older")
    assert (closed.decision, closed.reviewer, closed.known_by) == ("superseded", "driftline", "system")
    assert f"table {newer} of" in str(closed.reason)
    with pytest.raises(NotPublishable):
        channels.publish(conn, older, "default", "test")


def test_verdicts_are_append_only_and_about_something(conn: Connection, approved: int) -> None:
    for change in ("UPDATE verdict SET reviewer = 'eve'", "DELETE FROM verdict", "UPDATE review SET reviewer = 'eve'"):
        with pytest.raises(IntegrityError, match="append-only"), conn.begin_nested():
            conn.execute(text(change))
    row = "INSERT INTO verdict (table_version, decision, reviewer, reason) VALUES (:v, 'approve', 'eve', '')"
    with pytest.raises(IntegrityError, match="verdict_review_check"), conn.begin_nested():
        conn.execute(text(row), {"v": approved})


def test_a_revoke_and_a_publication_do_not_pass_each_other(engine: Engine) -> None:
    """A publication that began before the revoke waits for it, and is refused."""
    with engine.begin() as conn:
        version = world.add_good_table(conn)
    revoking = engine.connect()
    reviews.revoke(revoking, version, "ada", "", "claimed")
    outcomes: list[str] = []

    def publish() -> None:
        try:
            with engine.begin() as conn:
                channels.publish(conn, version, "default", "test")
            outcomes.append("published")
        except (NotPublishable, IntegrityError) as error:
            outcomes.append(type(error).__name__)

    publisher = threading.Thread(target=publish)
    publisher.start()
    time.sleep(0.5)
    assert not outcomes
    revoking.commit()
    revoking.close()
    publisher.join()
    assert outcomes == ["IntegrityError"]


def test_old_verdicts_migrate_and_old_workers_go_on(engine: Engine) -> None:
    config = connection._config()
    with engine.begin() as conn:
        first, second = world.add_table(conn), world.add_table(conn, day=1)
        for number, version in enumerate((first, second), 1):
            world.evaluate(conn, version, "recall")
            world.open_review(conn, version, f"review-{number}", "recall")
        reviews.record_verdict(conn, Verdict("review-1", "approve", "ada", "fine"))
    with engine.connect() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0004")
        conn.commit()
        rows = conn.execute(text("SELECT gate_id, decision, reviewer FROM review")).all()
        assert [tuple(row) for row in rows] == [("review-1", "approve", "ada")]
        assert conn.execute(text("SELECT approved FROM table_overview WHERE version = :v"), {"v": first}).scalar_one()
        command.upgrade(config, "head")
        conn.commit()
        (kept,) = reviews.verdicts_about(conn, first)
        assert (kept.decision, kept.reviewer, kept.known_by, kept.review_id) == ("approve", "ada", "claimed", "review-1")
        row = "('review-2', 'abort', 'ben', '')"
        old = f"INSERT INTO review (gate_id, decision, reviewer, reason) VALUES {row} ON CONFLICT DO NOTHING"
        for _ in range(2):
            conn.execute(text(old))
        assert [v.decision for v in reviews.verdicts_about(conn, second)] == ["abort"]
        gone = conn.execute(text("SELECT decided_at FROM review WHERE gate_id = 'review-2'")).scalar_one()
        assert gone > kept.decided_at - timedelta(hours=1)
