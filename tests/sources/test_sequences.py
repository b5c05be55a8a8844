"""Sequences themselves, against examples worked by hand and the rule written a second time in Python."""

from collections.abc import Sequence
from datetime import timedelta, timezone
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pyarrow as pa
import pytest
from hypothesis import given

from driftline.contracts import Sequences, Source, Window
from driftline.sources.counting import count_triples
from driftline.sources.held_out import read_held_out
from driftline.sources.sequences import STEPS, read_sequences
from tests.sources.logs import DAY, START, Event, assignment, triples, visits, write_log
from tests.sources.test_counting import ADJACENT, FIRST, LETTERS, dedups, events_of_a_log, examples


def read(folder: Path, events: Sequence[Event], sequences: Sequences = FIRST, window: Window = DAY) -> pa.Table:
    return read_sequences(write_log(folder / "events.parquet", events), sequences, window, assignment(LETTERS))


def steps(table: pa.Table) -> list[tuple[str, int, int]]:
    """User, cluster, minutes after START."""
    start = START.replace(tzinfo=None)
    return [(row["user"], row["cluster"], (row["ts"] - start) // timedelta(minutes=1)) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("sequence", "first", "adjacent"),
    [
        ("aabbcc", [(0, 0), (1, 20), (2, 40)], [(0, 0), (1, 20), (2, 40)]),
        ("abacd", [(0, 0), (1, 10), (2, 30), (3, 40)], [(0, 0), (1, 10), (0, 20), (2, 30), (3, 40)]),
        ("abba", [(0, 0), (1, 10)], [(0, 0), (1, 10), (0, 30)]),
    ],
)
def test_worked_examples(tmp_path: Path, sequence: str, first: list[tuple[int, int]], adjacent: list[tuple[int, int]]) -> None:
    events = visits("u", sequence)
    assert steps(read(tmp_path, events, FIRST)) == [("u", *step) for step in first]
    assert steps(read(tmp_path, events, ADJACENT)) == [("u", *step) for step in adjacent]


def test_users_one_after_the_other_and_typed(tmp_path: Path) -> None:
    table = read(tmp_path, [*visits("v", "dc"), *visits("u", "ab", every=30), *visits("w", "a")])
    assert table.schema == STEPS
    assert steps(table) == [("u", 0, 0), ("u", 1, 30), ("v", 3, 0), ("v", 2, 10), ("w", 0, 0)]


LONG_AGO = Event("v", "d", -1_000_000)


def test_what_was_shown_has_each_cluster_of_a_user_once_at_its_last_time(tmp_path: Path) -> None:
    before = [Event("u", "a", -9), Event("u", "b", -8), Event("u", "a", -7), Event("w", "x", -6), LONG_AGO]
    source = write_log(tmp_path / "events.parquet", [*before, *visits("v", "c"), Event("u", "d", 1440)])
    shown = read_held_out(source, FIRST, DAY, assignment(LETTERS)).shown
    assert shown.schema == STEPS
    assert sorted(steps(shown)) == [("u", 0, -7), ("u", 1, -8), ("v", 3, -1_000_000)]


def test_window_is_half_open_and_in_any_zone(tmp_path: Path) -> None:
    events = [Event("u", item, minute) for item, minute in [("a", -1), ("b", 0), ("c", 1439), ("d", 1440)]]
    berlin = timezone(timedelta(hours=1))
    for window in (DAY, Window(DAY.start.astimezone(berlin), DAY.end.astimezone(berlin))):
        assert steps(read(tmp_path, events, window=window)) == [("u", 1, 0), ("u", 2, 1439)]


def test_first_means_first_in_the_window(tmp_path: Path) -> None:
    """What the user did before the held-out period does not take its steps away."""
    events = [Event("u", "a", -5), Event("u", "b", 1), Event("u", "a", 2)]
    assert steps(read(tmp_path, events)) == [("u", 1, 1), ("u", 0, 2)]


def test_a_basket_happens_at_its_first_event(tmp_path: Path) -> None:
    events = [Event("u", "a", 3, "x"), Event("u", "c", 10), Event("u", "b", 20, "x")]
    assert sorted(steps(read(tmp_path, events))) == [("u", 0, 3), ("u", 1, 3), ("u", 2, 10)]
    assert steps(read(tmp_path, events))[2] == ("u", 2, 10)


def test_what_does_not_count_is_no_step(tmp_path: Path) -> None:
    events = [
        Event("u", "a", 1, liked=False),
        Event("u", "unknown", 2),
        Event(None, "a", 3),
        Event("u", None, 4),
        Event("u", "b", 5),
    ]
    assert steps(read(tmp_path, events)) == [("u", 1, 5)]


def test_nothing_in_the_window_is_an_empty_table(tmp_path: Path) -> None:
    later = Window(START + timedelta(days=30), START + timedelta(days=60))
    table = read(tmp_path, visits("u", "abc"), window=later)
    assert (table.num_rows, table.schema) == (0, STEPS)


def test_bad_source(tmp_path: Path) -> None:
    write_log(tmp_path / "events.parquet", visits("u", "abc"))
    source = Source(events=str(tmp_path / "events.parquet"), positive="CAST(item AS INTEGER) > 1")
    with pytest.raises(ValueError, match=r"source: Conversion Error.*'a'"):
        read_sequences(source, FIRST, DAY, assignment(LETTERS))


@examples(25)
@given(events=events_of_a_log, dedup=dedups)
def test_the_counts_are_those_of_the_sequences(events: list[Event], dedup: Literal["first", "adjacent"]) -> None:
    with TemporaryDirectory() as folder:
        source = write_log(Path(folder) / "events.parquet", events)
        table = read_sequences(source, Sequences(dedup=dedup), DAY, assignment(LETTERS))
        assert read_held_out(source, Sequences(dedup=dedup), DAY, assignment(LETTERS)).steps == table
        counted = count_triples(source, Sequences(dedup=dedup), DAY, assignment(LETTERS))
    found: dict[tuple[int, int, int], int] = {}
    rows = steps(table)
    assert [user for user, _, _ in rows] == sorted(user for user, _, _ in rows)
    for _, own in groupby(rows, key=lambda row: row[0]):
        sequence = list(own)
        assert [minute for _, _, minute in sequence] == sorted(minute for _, _, minute in sequence)
        clusters = [cluster for _, cluster, _ in sequence]
        assert dedup == "adjacent" or len(set(clusters)) == len(clusters)
        for triple in zip(clusters, clusters[1:], clusters[2:], strict=False):
            assert triple[0] != triple[1]
            if triple[0] != triple[2]:
                found[triple] = found.get(triple, 0) + 1
    assert found == triples(counted.table)
