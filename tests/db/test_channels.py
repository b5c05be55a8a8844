import json
import threading
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from driftline.contracts import Published, RunIds, Verdict
from driftline.db import channels, reviews
from driftline.db.channels import Conflict, NotPublishable
from driftline.db.follow import NOTIFICATION
from tests.db import world


def stopped_table(conn: Connection) -> int:
    """A table that a gate has stopped, waiting for review."""
    version = world.add_table(conn)
    world.evaluate(conn, version, "exact_match")
    world.open_review(conn, version, "review-1", "exact_match")
    return version


def test_a_table_is_published_once(conn: Connection) -> None:
    version = world.add_good_table(conn)
    for _ in range(2):
        assert channels.publish(conn, version, "default", "test", run=world.RUN) == Published("published", "default", version)
    (move,) = channels.history(conn, "default")
    assert (move.from_version, move.to_version, move.action, move.actor) == (None, version, "publish", "test")
    assert (move.workflow_id, move.run_id) == (world.RUN.workflow_id, world.RUN.run_id)
    assert channels.list_channels(conn) == {"default": version}


def test_only_an_approval_lets_a_stopped_table_through(conn: Connection) -> None:
    version = world.add_table(conn)
    with pytest.raises(NotPublishable, match="was not evaluated"):
        channels.publish(conn, version, "default", "test")
    world.evaluate(conn, version, "exact_match")
    with pytest.raises(NotPublishable, match=r"stopped \(exact_match\) and nobody approved"):
        channels.publish(conn, version, "default", "test", force=True)
    world.open_review(conn, version, "review-1", "exact_match")
    with pytest.raises(NotPublishable):
        channels.publish(conn, version, "default", "test", review_id="review-1")
    reviews.record_verdict(conn, Verdict("review-1", "approve", "ada", "good enough"))
    channels.publish(conn, version, "default", "test", review_id="review-1")
    (move,) = channels.history(conn)
    assert (move.gate_id, move.reviewer, move.review_reason) == ("review-1", "ada", "good enough")


def test_a_review_speaks_for_its_own_table_only(conn: Connection) -> None:
    stopped_table(conn)
    reviews.record_verdict(conn, Verdict("review-1", "approve", "ada"))
    other = world.add_good_table(conn, day=1)
    with pytest.raises(NotPublishable, match="review-1 did not approve table"):
        channels.publish(conn, other, "default", "test", review_id="review-1")


@pytest.mark.parametrize("decision", ["rerun", "abort"])
def test_a_rejected_table_stays_out(conn: Connection, decision: str) -> None:
    version = stopped_table(conn)
    reviews.record_verdict(conn, Verdict("review-1", decision, "ada"))  # type: ignore[arg-type]
    with pytest.raises(NotPublishable):
        channels.publish(conn, version, "default", "test", review_id="review-1")


def test_review_always_stops_a_table_that_passed(conn: Connection) -> None:
    version = world.add_good_table(conn)
    world.open_review(conn, version, "review-1")
    with pytest.raises(NotPublishable, match=r"stopped \(review\)"):
        channels.publish(conn, version, "default", "test")


def test_nobody_gets_around_it_with_sql(conn: Connection) -> None:
    version = stopped_table(conn)
    insert = "INSERT INTO publication (channel, to_version, action, actor, reason) VALUES ('default', :v, 'publish', 'me', '')"
    with pytest.raises(IntegrityError, match="incomplete or not approved"), conn.begin_nested():
        conn.execute(text(insert), {"v": version})
    good = world.add_good_table(conn, day=1)
    channels.publish(conn, good, "default", "test")
    with pytest.raises(IntegrityError, match="cannot serve it"), conn.begin_nested():
        conn.execute(text("UPDATE channel SET table_version = :v"), {"v": version})
    another = world.add_good_table(conn, day=2)
    with pytest.raises(IntegrityError, match="foreign key"), conn.begin_nested():
        conn.execute(text("UPDATE channel SET table_version = :v"), {"v": another})


def test_the_pointer_moves_from_where_it_was_seen(conn: Connection) -> None:
    first, second = world.add_good_table(conn), world.add_good_table(conn, day=1)
    channels.publish(conn, first, "default", "test", expected=None)
    with pytest.raises(Conflict, match=f"points at table {first}, not at nothing"):
        channels.publish(conn, second, "default", "test", expected=None)
    channels.publish(conn, second, "default", "test", expected=first)
    assert channels.current(conn, "default") == second


@pytest.mark.parametrize("other", ["publisher", "roll-back"])
def test_two_who_move_a_channel_race_and_one_wins(engine: Engine, other: str) -> None:
    with engine.begin() as conn:
        zeroth, first, *rivals = [world.add_good_table(conn, day=day) for day in range(4)]
        for table in (zeroth, first):
            channels.publish(conn, table, "default", "test")
    barrier, outcomes = threading.Barrier(2), []

    def move(act: Callable[[Connection], object]) -> None:
        try:
            with engine.begin() as conn:
                barrier.wait()
                act(conn)
            outcomes.append("moved")
        except Conflict:
            outcomes.append("conflict")

    def publish(table: int) -> Callable[[Connection], object]:
        return lambda conn: channels.publish(conn, table, "default", "test", expected=first)

    def roll_back(conn: Connection) -> object:
        return channels.rollback(conn, "default", actor="ada", reason="", expected=first)

    acts = [publish(rivals[0]), publish(rivals[1]) if other == "publisher" else roll_back]
    threads = [threading.Thread(target=move, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "moved"]
    with engine.connect() as conn:
        newest, *before = channels.history(conn)
        assert (newest.from_version, len(before)) == (first, 2)
        assert channels.current(conn, "default") == newest.to_version


def test_an_older_nominal_time_is_superseded(conn: Connection) -> None:
    older, newer = world.add_good_table(conn), world.add_good_table(conn, day=1)
    channels.publish(conn, newer, "default", "test")
    assert channels.publish(conn, older, "default", "backfill").outcome == "superseded"
    assert channels.current(conn, "default") == newer
    assert channels.publish(conn, older, "default", "ada", reason="on purpose", force=True).outcome == "published"


def test_rollback_walks_back(conn: Connection) -> None:
    versions = [world.add_good_table(conn, day=day) for day in range(3)]
    for number, version in enumerate(versions):
        channels.publish(conn, version, "default", "fine-tune", run=RunIds("fine-tune", f"run-{number}"))
    channels.rollback(conn, "default", actor="ada", reason="complaints")
    assert channels.current(conn, "default") == versions[1]
    channels.rollback(conn, "default", actor="ada", reason="more complaints")
    assert channels.current(conn, "default") == versions[0]
    with pytest.raises(ValueError, match="no earlier table"):
        channels.rollback(conn, "default", actor="ada", reason="even more")
    # The late retry of a publication that was undone since does not undo the rollback.
    channels.publish(conn, versions[2], "default", "fine-tune", run=RunIds("fine-tune", "run-2"))
    assert channels.current(conn, "default") == versions[0]
    channels.rollback(conn, "default", versions[2], actor="ada", reason="it was fine")
    assert [(move.action, move.to_version) for move in channels.history(conn)] == [
        ("rollback", versions[2]),
        ("rollback", versions[0]),
        ("rollback", versions[1]),
        *[("publish", version) for version in reversed(versions)],
    ]
    stranger = world.add_good_table(conn, day=9)
    with pytest.raises(ValueError, match="never served table"):
        channels.rollback(conn, "default", stranger, actor="ada", reason="")


def test_a_move_is_announced(engine: Engine, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {NOTIFICATION}")
        with engine.begin() as conn:
            version = world.add_good_table(conn)
            channels.publish(conn, version, "default", "test")
        (note,) = listener.notifies(timeout=5, stop_after=1)
    payload = json.loads(note.payload)
    assert (payload["channel"], payload["from"], payload["to"], payload["action"]) == ("default", None, version, "publish")
