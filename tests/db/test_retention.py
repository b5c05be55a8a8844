"""What is dropped, and what never is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from driftline.contracts import BadInput, Verdict
from driftline.db import channels, connection, counts, evaluations, models, retention, reviews, tables
from driftline.db.retention import PrunableRows
from tests.db import world
from tests.db.logins import logged_in

NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(days=30)
AGES = {
    **dict.fromkeys(("counts", "model", "transition_table", "evaluation"), "created_at"),
    **{"publication": "at", "verdict": "decided_at", "gate": "opened_at", "asked_again": "at"},
}


@contextmanager
def days_ago(conn: Connection, days: float) -> Iterator[None]:
    """What the block writes is that old."""
    marks = {table: conn.execute(text(f"SELECT coalesce(max(ctid), '(0,0)') FROM {table}")).scalar_one() for table in AGES}
    yield
    conn.execute(text("SET LOCAL session_replication_role = replica"))  # past the triggers that keep rows as they were written
    for table, column in AGES.items():
        conn.execute(
            text(f"UPDATE {table} SET {column} = now() - :age * interval '1 day' WHERE ctid > CAST(:mark AS tid)"),
            {"age": days, "mark": marks[table]},
        )
    conn.execute(text("SET LOCAL session_replication_role = DEFAULT"))


def old(conn: Connection, kind: str = "table") -> set[int]:
    return {rows.version for rows in retention.prunable(conn, BEFORE) if rows.kind == kind}


def publish(conn: Connection, table: int, channel: str = "default") -> None:
    assert channels.publish(conn, table, channel, "ada", force=True).outcome == "published"


def test_what_nothing_needs_is_old_and_what_something_needs_is_not(conn: Connection) -> None:
    with days_ago(conn, 100):
        first, second, third, fourth = (world.add_good_table(conn, day=day) for day in (0, 2, 4, 6))
        rejected, waits, never, approved = (world.add_table(conn, day=day, kind="rag") for day in (8, 10, 12, 14))
        for table, review in ((rejected, "one"), (waits, "two"), (approved, "three")):
            world.evaluate(conn, table, "recall")
            world.open_review(conn, table, review, "recall")
        reviews.record_verdict(conn, Verdict("one", "abort", "ada"))
    with days_ago(conn, 60):
        publish(conn, first)
        publish(conn, second)
    with days_ago(conn, 20):
        publish(conn, third)  # so that the channel served the second until then
    with days_ago(conn, 10):
        publish(conn, fourth)
        reviews.record_verdict(conn, Verdict("three", "approve", "ada"))
    with days_ago(conn, 5):
        new = world.add_table(conn, day=16)
    # The first was served longer ago; the rejected one and the one that was never judged are nobody's.
    assert old(conn) == {first, rejected, never}
    newer = {rows.version for rows in retention.prunable(conn, NOW - timedelta(days=8)) if rows.kind == "table"}
    # What a channel serves or would go back to, what waits, what is newer: those stay however little is kept.
    assert newer == {first, second, rejected, never, approved}
    assert new not in newer
    assert fourth not in newer


def test_counts_stay_as_long_as_a_table_that_was_made_of_them(conn: Connection) -> None:
    with days_ago(conn, 100):
        table = world.add_good_table(conn)
        lonely = world.add_counts(conn, tables.get(conn, table).cluster_set, day=500)
        publish(conn, table)
        other = world.add_table(conn, day=40, kind="rag")
    found = tables.get(conn, table)
    assert lonely in old(conn, "counts")
    assert tables.get(conn, other).counts_version in old(conn, "counts")
    assert found.counts_version not in old(conn, "counts")
    judged = conn.execute(text("SELECT counts_version FROM evaluation WHERE table_version = :t"), {"t": table}).scalar_one()
    assert judged not in old(conn, "counts")


def test_an_approved_adapter_stays_and_a_rejected_one_goes(conn: Connection) -> None:
    with days_ago(conn, 100):
        cluster_set = world.add_clusters(conn)
        made = {}
        for number, name in enumerate(("approved", "rejected", "newest")):
            counted = world.add_counts(conn, cluster_set, day=number)
            model = world.add_model(conn, cluster_set, counted, name)
            made[name] = tables.add(conn, world.request(model, counted, day=number), world.mapping()).version
            evaluations.add(conn, made[name], counted, world.evaluation(*(["recall"] if name == "rejected" else [])))
    assert old(conn) == {made["approved"], made["rejected"]}  # refreshes take the model of the newest
    assert retention.kept_files(conn, BEFORE).adapters == {"approved", "newest"}
    newest = models.newest_approved(conn)
    assert newest is not None
    assert newest.adapter_hash == "newest"


def pruned(conn: Connection, kind: str, version: int) -> bool | None:
    return retention.prune(conn, PrunableRows(kind, version, 0), BEFORE)  # type: ignore[arg-type]


def counts_by_pair(conn: Connection, version: int) -> int:
    found: int = conn.execute(text("SELECT count(*) FROM pair_traffic WHERE version = :v"), {"v": version}).scalar_one()
    return found


def test_its_record_stays_and_the_same_run_makes_its_rows_again(engine: Engine) -> None:
    with engine.begin() as conn, days_ago(conn, 100):
        table = world.add_table(conn, kind="rag")
        world.evaluate(conn, table)
        made_of = tables.get(conn, table)
    with engine.begin() as conn:
        rows, counted = tables.answers(conn, table), counts.read(conn, made_of.counts_version)
        assert pruned(conn, "table", table)
        assert pruned(conn, "counts", made_of.counts_version)
        assert counts_by_pair(conn, made_of.counts_version) == 0
        assert pruned(conn, "table", table) is False  # it is gone
    with engine.begin() as conn:
        found = tables.get(conn, table)
        assert found.pruned_at is not None
        assert (found.rows, found.complete, found.approved) == (12, True, True)
        assert tables.lineage(conn, table)["counts_version"] == made_of.counts_version
        with pytest.raises(BadInput, match="were pruned: run again what made it"):
            tables.answers(conn, table)
        with pytest.raises(BadInput, match="were pruned: run again what made it"):
            counts.read(conn, made_of.counts_version)
        with pytest.raises(channels.NotPublishable, match="were pruned on"):
            channels.publish(conn, table, "default", "ada")
        insert = "INSERT INTO publication (channel, to_version, action, actor, reason) VALUES ('a', :t, 'publish', 'a', '')"
        with pytest.raises(DBAPIError, match="were dropped"), conn.begin_nested():
            conn.execute(text(insert), {"t": table})
    with engine.begin() as conn:
        made = world.add_counts(conn, made_of.cluster_set)
        model = conn.execute(text("SELECT model_version FROM transition_table")).scalar_one()
        assert made == made_of.counts_version
        assert tables.add(conn, world.request(model, made, kind="rag"), world.mapping()).version == table
    with engine.begin() as conn:
        assert tables.answers(conn, table).equals(rows)
        assert counts.read(conn, made).equals(counted)
        assert counts_by_pair(conn, made) == 1
        assert table not in old(conn)  # it was asked for again
        publish(conn, table)


def test_whoever_publishes_meanwhile_wins(engine: Engine) -> None:
    with engine.begin() as conn, days_ago(conn, 100):
        table = world.add_table(conn, kind="rag")
        world.evaluate(conn, table)
    with engine.begin() as publisher:
        publish(publisher, table)
        with engine.begin() as conn:
            assert pruned(conn, "table", table) is None  # it waits for the publisher, and not for long
    with engine.begin() as conn:
        assert pruned(conn, "table", table) is False
        assert tables.answers(conn, table).num_rows == 12


def test_a_reader_is_not_disturbed_and_nobody_queues_behind_pruning(engine: Engine) -> None:
    with engine.begin() as conn, days_ago(conn, 100):
        table = world.add_table(conn, kind="rag")
    with engine.begin() as reader:
        assert tables.answers(reader, table).num_rows == 12
        done: list[bool | None] = []

        def prune() -> None:
            with engine.begin() as conn:
                done.append(pruned(conn, "table", table))

        thread = threading.Thread(target=prune)
        thread.start()
        thread.join()
        assert done == [None]
    with engine.begin() as conn:
        assert pruned(conn, "table", table)


def test_only_the_owner_and_whom_it_lets_may_prune(engine: Engine) -> None:
    with engine.begin() as conn, days_ago(conn, 100):
        table = world.add_table(conn, kind="rag")
    for kind in ("worker", "reviewer", "reader"):
        with logged_in(engine, kind) as url:
            own = connection.connect(url)
            with own.begin() as conn:
                assert table in old(conn)
                with pytest.raises(BadInput, match="may not prune"):
                    pruned(conn, "table", table)
                with pytest.raises(DBAPIError, match="must be owner"), conn.begin_nested():
                    conn.execute(text(f"DROP TABLE transition_v{table}"))
            own.dispose()
    with logged_in(engine, "reader") as url:
        own = connection.connect(url)
        with own.connect() as conn:
            login = conn.execute(text("SELECT session_user")).scalar_one()
        with engine.begin() as conn:
            conn.execute(text("SELECT grant_pruning(:login)"), {"login": login})
        with own.begin() as conn:
            with pytest.raises(DBAPIError, match="younger than 7 days"), conn.begin_nested():
                conn.execute(text("SELECT prune_version('table', :t, now())"), {"t": table})
            assert pruned(conn, "table", table)
        with engine.begin() as conn:
            assert conn.execute(text("SELECT actor FROM pruning")).scalars().all() == [login]
            conn.execute(text(f'REVOKE ALL ON FUNCTION prune_version(text, bigint, timestamptz) FROM "{login}"'))
        own.dispose()


def test_a_year_of_refreshes_stays_within_the_bound(engine: Engine) -> None:
    """Every two days, and a fine-tune a month; a third of the refreshes is rejected. Pruned once a month, 30 days are kept.

    docs/pruning.md: days / every refreshes, one that was served when they began, and for each channel two; the newest
    fine-tune and those of the days. Of counts two for each of these, and two of the fine-tune.
    """
    every, month, year = 2, 30, 372
    cluster_set = model = counted = 0
    most_tables = most_counts = made = 0
    for day in range(0, year, every):
        with engine.begin() as conn, days_ago(conn, year - day):
            if not cluster_set:
                cluster_set = world.add_clusters(conn)
            if day % month == 0:
                counted = world.add_counts(conn, cluster_set, day=day)
                model = world.add_model(conn, cluster_set, counted, f"adapter-{day}")
                table = tables.add(conn, world.request(model, counted, day=day), world.mapping()).version
                evaluations.add(conn, table, counted, world.evaluation())
                publish(conn, table)
                made += 1
            window, test = (world.add_counts(conn, cluster_set, n=n, day=day) for n in (4, 5))
            table = tables.add(conn, world.request(model, window, day=day, kind="rag"), world.mapping()).version
            good = day % 6 != 2
            evaluations.add(conn, table, test, world.evaluation(*([] if good else ["recall"])))
            made += 1
            if good:
                publish(conn, table)
        if day % month == 24:
            with engine.begin() as conn:
                then = NOW - timedelta(days=year - day + month)
                for rows in retention.prunable(conn, then):
                    assert retention.prune(conn, rows, then)
                kept = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE :name"
                of_tables, of_counts = (
                    conn.execute(text(kept), {"name": f"{name}\\_v%"}).scalar_one() for name in ("transition", "transition_count")
                )
                most_tables, most_counts = max(most_tables, of_tables), max(most_counts, of_counts)
    assert made == 186 + 13
    refreshes, fine_tunes = month // every + 1, 1
    assert most_tables <= refreshes + 1 + 2 + fine_tunes + 1
    assert most_counts <= 2 * (refreshes + 3) + 2 * (fine_tunes + 1)
    assert most_tables >= refreshes
    with engine.begin() as conn:
        assert len(tables.list_tables(conn)) == made
