"""The samples of one window add up to its counts, and the streamed lists are those of the whole table."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from driftline.contracts import Sequences, Source, Window
from driftline.interests.metrics import RANKINGS, Sampled, Successors, top_successors
from driftline.interests.metrics import successors as interests_successors
from driftline.sources import halves as sources_halves
from driftline.sources.counting import count_triples
from driftline.sources.halves import sampled_successors
from driftline.sources.sequences import REFERENCE, open_assigned, over_sequences, parameters
from driftline.sources.session import arrow
from tests.sources.logs import DAY, Event, assignment, visits, write_log

LETTERS = {letter: cluster for cluster, letter in enumerate("abcdefg")}
ADJACENT = Sequences("adjacent")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """400 users with 20 events each."""
    rng = random.Random(0)
    events = [event for n in range(400) for event in visits(f"u{n}", "".join(rng.choices("aabbbcdefg", k=20)))]
    return write_log(tmp_path_factory.mktemp("log") / "events.parquet", events)


def sampled(source: Source, window: Window = DAY, clusters: dict[str, int] = LETTERS, engine: str = "duckdb") -> Sampled:
    return sampled_successors(source, ADJACENT, window, assignment(clusters), 3, 7, engine)


def equal(a: Successors, b: Successors) -> bool:
    return np.array_equal(a.support, b.support) and all(np.array_equal(a.top[name], b.top[name]) for name in RANKINGS)


def sixteenths(source: Source) -> pa.Table:
    with open_assigned(source, assignment(LETTERS)) as con:
        return arrow(con, over_sequences("halves"), parameters(ADJACENT, DAY))


def test_sixteenths_add_up_to_the_counts_and_are_about_equal(source: Source) -> None:
    table, counted = sixteenths(source), count_triples(source, ADJACENT, DAY, assignment(LETTERS))
    triples = table.group_by(["c1", "c2", "c_next"]).aggregate([("n", "sum")]).rename_columns(counted.table.column_names)
    sizes = table.group_by("sixteenth").aggregate([("n", "sum")]).sort_by("sixteenth").to_pydict()

    assert triples.sort_by([(name, "ascending") for name in ("c1", "c2", "c_next")]).equals(counted.table)
    assert sizes["sixteenth"] == list(range(16))
    assert min(sizes["n_sum"]) > 0.03 * counted.triples


def test_a_user_is_in_one_sixteenth_and_always_the_same(tmp_path: Path) -> None:
    """u's triples in the morning and in the afternoon, one window each."""
    source = write_log(
        tmp_path / "e.parquet", [*visits("u", "abcd"), *(Event("u", item, 720 + n) for n, item in enumerate("gfed"))]
    )
    noon = DAY.start + timedelta(hours=12)
    morning, afternoon = (sampled(source, window) for window in (Window(DAY.start, noon), Window(noon, DAY.end)))

    for one, other in zip(morning.halves, afternoon.halves, strict=True):
        sizes = [[half.support.sum() for half in halves] for halves in (one, other)]
        assert sizes[0] == sizes[1]
        assert sorted(sizes[0]) == [0, 2]


def test_lists_are_those_of_the_whole_table(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """… however the rows come in."""
    table = sixteenths(source)

    def of(*members: int) -> Successors:
        rows = (
            table.filter(pc.is_in(pc.divide(table["sixteenth"], 4), pa.array(members, table.schema.field("sixteenth").type)))
            .group_by(["c1", "c2", "c_next"])
            .aggregate([("n", "sum")])
        )
        return top_successors(rows.rename_columns(["c1", "c2", "c_next", "n"]), 7, 3)

    whole = sampled(source)
    assert (whole.users, whole.triples) == (400, pc.sum(table["n"]).as_py())
    for batch, part in ((1 << 17, 1 << 20), (2048, 50), (2048, 1)):
        monkeypatch.setattr(sources_halves, "BATCH", batch)
        monkeypatch.setattr(interests_successors, "SLICE", part)
        found = sampled(source)
        assert equal(found.whole, of(0, 1, 2, 3))
        ways = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
        for halves, expected in zip(found.halves, ways, strict=True):
            assert [equal(half, of(*members)) for half, members in zip(halves, expected, strict=True)] == [True, True]


def test_the_same_log_gives_the_same_arrays(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """… however DuckDB cuts its batches."""
    monkeypatch.setattr(interests_successors, "SLICE", 20)
    one = sampled(source)
    monkeypatch.setattr(sources_halves, "BATCH", 2048)
    other = sampled(source)

    assert equal(one.halves[0][0], other.halves[0][0])
    assert np.array_equal(one.unevenness["lift"], other.unevenness["lift"])
    assert one.unevenness["lift"][..., 1].sum() > 0


def test_packed_counts_give_the_arrays_of_the_sql(source: Source) -> None:
    packed, by_sql = sampled(source), sampled(source, engine=REFERENCE)

    assert (packed.users, packed.triples) == (by_sql.users, by_sql.triples)
    assert equal(packed.whole, by_sql.whole)
    for one, other in zip(packed.halves, by_sql.halves, strict=True):
        assert equal(one[0], other[0])
        assert equal(one[1], other[1])
    for name in RANKINGS:
        assert np.array_equal(packed.unevenness[name], by_sql.unevenness[name])


def test_a_silent_window_is_empty_and_no_error(source: Source) -> None:
    later = Window(DAY.end, DAY.end + timedelta(days=1))
    for found in (sampled(source, later), sampled(replace(source, positive="false")), sampled(source, clusters={"z": 0})):
        assert (found.users, found.triples, found.whole.support.sum()) == (0, 0, 0)
        assert (found.whole.top["frequency"] == -1).all()


def test_users_are_those_with_an_event_that_counts(tmp_path: Path) -> None:
    events = [*visits("u", "abc"), *visits("v", "a"), *visits("w", "z"), Event("x", "a", 5, liked=False)]
    found = sampled(write_log(tmp_path / "e.parquet", events))

    assert (found.users, found.triples) == (2, 1)


def test_an_assignment_of_another_cluster_set_is_refused(source: Source) -> None:
    with pytest.raises(ValueError, match="cluster 7, which is not in a set of 7"):
        sampled(source, clusters=LETTERS | {"g": 7})


def test_more_memory_is_taken_where_counting_needs_it(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sampled(source)
    monkeypatch.setattr(sources_halves, "MEMORY", 1)
    monkeypatch.setattr(sources_halves, "MEMORY_PER_THREAD", 0)

    assert equal(sampled(source).whole, before.whole)
