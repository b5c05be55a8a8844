"""Counts against examples worked by hand, and against the rule written a second time in Python."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftline.contracts import Sequences, Source, Window
from driftline.sources.counting import Counted, count_triples
from driftline.sources.log import open_source
from tests.sources.logs import DAY, START, Event, Triples, assignment, reference, triples, visits, write_log

FIRST, ADJACENT = Sequences(dedup="first"), Sequences(dedup="adjacent")
LETTERS = {"a": 0, "b": 1, "c": 2, "d": 3}


def count(folder: Path, events: Sequence[Event], sequences: Sequences = FIRST, window: Window = DAY) -> Counted:
    return count_triples(write_log(folder / "events.parquet", events), sequences, window, assignment(LETTERS))


@pytest.mark.parametrize(
    ("sequence", "first", "adjacent"),
    [
        ("abc", {(0, 1, 2): 1}, {(0, 1, 2): 1}),
        ("aabbcc", {(0, 1, 2): 1}, {(0, 1, 2): 1}),
        # `first` sees a b c d. `adjacent` sees abacd: aba is no triple, because a is not new.
        ("abacd", {(0, 1, 2): 1, (1, 2, 3): 1}, {(1, 0, 2): 1, (0, 2, 3): 1}),
        ("abcabc", {(0, 1, 2): 1}, {(0, 1, 2): 2, (1, 2, 0): 1, (2, 0, 1): 1}),
    ],
)
def test_worked_examples(tmp_path: Path, sequence: str, first: Triples, adjacent: Triples) -> None:
    events = [*visits("u", sequence), *visits("short", "abab")]
    assert triples(count(tmp_path, events, FIRST).table) == first
    counted = count(tmp_path, events, ADJACENT)
    assert triples(counted.table) == adjacent
    assert (counted.users, counted.sequences, counted.triples) == (2, 1, sum(adjacent.values()))
    assert counted.dropped == {"users_with_fewer_than_three_clusters": 1}


def test_table_is_sorted_and_typed(tmp_path: Path) -> None:
    table = count(tmp_path, [*visits("u", "dcba"), *visits("v", "abcd"), *visits("w", "abcd")]).table
    assert table.schema == pa.schema([("c1", pa.int32()), ("c2", pa.int32()), ("c_next", pa.int32()), ("n", pa.int64())])
    assert list(triples(table).items()) == [((0, 1, 2), 2), ((1, 2, 3), 2), ((2, 1, 0), 1), ((3, 2, 1), 1)]


def test_window_is_half_open(tmp_path: Path) -> None:
    events = [Event("u", item, minute) for item, minute in [("a", -1), ("b", 0), ("c", 60), ("d", 1439), ("a", 1440)]]
    counted = count(tmp_path, events)
    assert triples(counted.table) == {(1, 2, 3): 1}
    assert counted.events == 3


def test_window_in_another_zone_is_the_same_window(tmp_path: Path) -> None:
    berlin = timezone(timedelta(hours=1))
    events = [*visits("u", "abcd", every=30), Event("u", "d", -1)]
    shifted = Window(DAY.start.astimezone(berlin), DAY.end.astimezone(berlin))
    naive = Window(DAY.start.replace(tzinfo=None), DAY.end.replace(tzinfo=None))
    assert count(tmp_path, events, window=shifted) == count(tmp_path, events, window=naive) == count(tmp_path, events)


def test_ties_follow_the_hash_and_favour_no_cluster(tmp_path: Path) -> None:
    """Three clusters at one time, 200 users: every one of the six orders occurs."""
    events = [Event(f"u{n}", item, 0) for n in range(200) for item in "abc"]
    counted = triples(count(tmp_path, events).table)
    assert sum(counted.values()) == 200
    assert len(counted) == 6
    assert min(counted.values()) > 15
    assert counted == reference(events, LETTERS, DAY, "first")


def test_basket_is_one_step_at_its_first_event(tmp_path: Path) -> None:
    """b is bought last, but its basket began first."""
    events = [Event("u", "a", 0, "x"), Event("u", "c", 10, None), Event("u", "d", 15, None), Event("u", "b", 20, "x")]
    write_log(tmp_path / "events.parquet", events)
    without = count_triples(Source(events=str(tmp_path / "events.parquet")), FIRST, DAY, assignment(LETTERS))
    assert triples(without.table) == {(0, 2, 3): 1, (2, 3, 1): 1}
    with_baskets = triples(count(tmp_path, events).table)
    assert with_baskets in ({(0, 1, 2): 1, (1, 2, 3): 1}, {(1, 0, 2): 1, (0, 2, 3): 1})
    assert with_baskets == reference(events, LETTERS, DAY, "first")


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    events = [
        *visits("u", "abc"),
        Event(None, "a", 5),
        Event("u", None, 6),
        Event("u", None, 7),
        Event("u", "a", None),
        Event("u", "d", 8, liked=False),
        Event("u", "d", 8, liked=None),
        Event("u", "x", 9),
        Event("v", "x", 9),
        Event("v", "y", 9),
        Event("v", "z", 99999),
    ]
    counted = count(tmp_path, events)
    assert triples(counted.table) == {(0, 1, 2): 1}
    assert (counted.events, counted.users, counted.sequences) == (3, 1, 1)
    assert counted.dropped == {
        "events_without_user": 1,
        "events_without_item": 2,
        "events_without_timestamp": 1,
        "events_not_positive": 2,
        "events_of_unknown_items": 3,
        "unknown_items": 2,
    }


events_of_a_log = st.lists(
    st.builds(
        Event,
        user=st.sampled_from(["u", "v", "w", None]),
        item=st.sampled_from(["a", "b", "c", "d", "unknown", None]),
        minute=st.one_of(st.integers(-2, 8), st.integers(1435, 1441), st.none()),
        basket=st.sampled_from([None, "x", "y"]),
        liked=st.sampled_from([True, True, True, False, None]),
    ),
    max_size=40,
).map(lambda drawn: [*drawn, Event("anchor", "a", 0)])
dedups = st.sampled_from(["first", "adjacent"])


def examples(n: int) -> settings:
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@examples(40)
@given(events=events_of_a_log, dedup=dedups)
def test_agrees_with_the_rule_in_python(events: list[Event], dedup: Literal["first", "adjacent"]) -> None:
    with TemporaryDirectory() as folder:
        counted = count(Path(folder), events, Sequences(dedup=dedup))
    assert triples(counted.table) == reference(events, LETTERS, DAY, dedup)
    assert counted.triples == sum(triples(counted.table).values())
    assert counted.users - counted.sequences == counted.dropped.get("users_with_fewer_than_three_clusters", 0)


@examples(12)
@given(events=events_of_a_log, dedup=dedups, seed=st.integers(0, 99))
def test_no_row_order_and_shards_of_users_add_up(events: list[Event], dedup: Literal["first", "adjacent"], seed: int) -> None:
    with TemporaryDirectory() as folder:
        whole = count(Path(folder), events, Sequences(dedup=dedup))
        shuffled = random.Random(seed).sample(events, len(events))
        assert count(Path(folder), shuffled, Sequences(dedup=dedup)) == whole
        # Each shard keeps a user of its own, because an empty shard is an error.
        shards = [[Event("anchor", "a", 0)], [Event("anchor2", "a", 0)]]
        for event in events:
            shards[(event.user or "").encode()[:1] > b"u"].append(event)
        parts = [count(Path(folder), shard, Sequences(dedup=dedup)) for shard in shards]
    assert sum((Counter(triples(part.table)) for part in parts), Counter()) == triples(whole.table)
    assert sum(part.triples for part in parts) == whole.triples


class TestNothingToCount:
    """Each reason for an empty result is told apart, with what to change."""

    def test_window_beside_the_log(self, tmp_path: Path) -> None:
        later = Window(START + timedelta(days=30), START + timedelta(days=60))
        with pytest.raises(ValueError, match=r"has no events: the log goes from 2024-01-01 00:00 to 2024-01-01 00:20.*--at"):
            count(tmp_path, visits("u", "abc"), window=later)

    def test_nothing_positive(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"1 events but none is positive: check source\.positive"):
            count(tmp_path, [Event("u", "a", 0, liked=False)])

    def test_no_known_item(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"none of its 2 items is in the cluster set; .*'(x|y)', the cluster set 'a'"):
            count(tmp_path, visits("u", "xy"))

    def test_no_user(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"2 events, but all lack a user or an item"):
            count(tmp_path, [Event(None, "a", 0), Event("u", None, 0)])

    def test_log_without_times(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no event with a date and time"):
            count(tmp_path, [Event("u", "a", None)])

    def test_too_few_clusters_is_a_result(self, tmp_path: Path) -> None:
        counted = count(tmp_path, visits("u", "ab"))
        assert counted.table.num_rows == counted.triples == counted.sequences == 0


def test_assignment_must_be_a_function(tmp_path: Path) -> None:
    source = write_log(tmp_path / "events.parquet", visits("u", "abc"))
    twice = pa.table({"item": ["a", "a"], "cluster": pa.array([0, 1], pa.int32())})
    with pytest.raises(ValueError, match="assigns item 'a' more than once"):
        count_triples(source, FIRST, DAY, twice)


def test_predicate_that_fails_on_a_row_says_so(tmp_path: Path) -> None:
    write_log(tmp_path / "events.parquet", visits("u", "abc"))
    source = Source(events=str(tmp_path / "events.parquet"), positive="CAST(item AS INTEGER) > 1")
    with pytest.raises(ValueError, match=r"source: Conversion Error.*'a'"):
        count_triples(source, FIRST, DAY, assignment(LETTERS))


def test_only_the_window_is_read(tmp_path: Path) -> None:
    """DuckDB pushes the window through the views into the Parquet scan, whatever the type of the times."""
    path = tmp_path / "events.parquet"
    for kind in ("TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_NS", "DATE"):
        duckdb.sql("SET TimeZone = 'UTC'")
        duckdb.sql(f"""
            COPY (
                SELECT 'u' AS user, 'a' AS item, CAST(TIMESTAMP '2024-01-01' + to_minutes(i) AS {kind}) AS ts
                FROM range(100000) r(i)
            )
            TO '{path}' (ROW_GROUP_SIZE 10000)""")
        with open_source(Source(events=str(path)), items=False) as con:
            plan = con.execute(
                "EXPLAIN ANALYZE SELECT count(*) FROM driftline_events WHERE positive AND ts >= $start AND ts < $end",
                {"start": datetime(2024, 1, 20), "end": datetime(2024, 1, 21)},
            ).fetchall()[0][1]
        assert "Row Groups Scanned: 1 / 10" in plan or "Row Groups Scanned: 2 / 10" in plan, plan
