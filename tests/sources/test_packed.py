"""The counts by sorting against the SQL that defines them, and each short cut where it does not hold."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import synthetic
from driftline.contracts import Sequences, Source, Window
from driftline.sources import counting_kernel, packed
from driftline.sources.counting import Counted, count_triples
from driftline.sources.sequences import REFERENCE, open_assigned, over_sequences, parameters
from driftline.sources.session import arrow
from driftline.sources.shuffle import KEY_BITS, shuffle
from tests.sources import logs
from tests.sources.logs import DAY, START, Event, assignment, triples, write_log
from tests.sources.test_counting import ADJACENT, FIRST, LETTERS, dedups, events_of_a_log, examples

Dedup = Literal["first", "adjacent"]


def both(source: Source, sequences: Sequences, window: Window, clusters: pa.Table) -> Counted:
    """Counts by sorting, once the SQL has been seen to give the same table and figures."""
    counted = count_triples(source, sequences, window, clusters, engine="duckdb")
    by_sql = count_triples(source, sequences, window, clusters, engine=REFERENCE)
    assert counted.table.equals(by_sql.table)
    assert counted == by_sql
    return counted


def packs(source: Source, window: Window, clusters: pa.Table) -> bool:
    with open_assigned(source, clusters) as con:
        return packed.count_packed(con, source, FIRST, window) is not None


@pytest.mark.long
@examples(60)
@given(events=events_of_a_log, dedup=dedups, baskets=st.booleans())
def test_small_logs(events: list[Event], dedup: Dedup, baskets: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        write_log(path, events)
        source = Source(events=str(path), basket="basket" if baskets else None, positive="liked")
        both(source, Sequences(dedup=dedup), DAY, assignment(LETTERS))


@pytest.mark.parametrize("dedup", ["first", "adjacent"])
def test_long_log_in_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dedup: Dedup) -> None:
    """60,000 events come in several batches, and their 300 users and 18 clusters are worked on in dozens of parts."""
    log = synthetic.Synthetic(60_000, users=300, items=900, clusters=18)
    source = synthetic.write_log(log, tmp_path / "events.parquet")
    given = (source, Sequences(dedup=dedup), synthetic.WINDOW, synthetic.assignment(log))
    whole = both(*given)
    assert whole.triples > 1000
    assert whole.users == 300
    monkeypatch.setattr(packed, "BATCH", 5000)
    monkeypatch.setattr(packed, "PART", 700)
    assert both(*given) == whole


@pytest.mark.parametrize("dedup", ["first", "adjacent"])
def test_sixteenths_of_a_long_log_in_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dedup: Dedup) -> None:
    log = synthetic.Synthetic(60_000, users=300, items=900, clusters=18)
    source = synthetic.write_log(log, tmp_path / "events.parquet")
    given = Sequences(dedup), synthetic.WINDOW
    with open_assigned(source, synthetic.assignment(log)) as con:
        by_sql = arrow(con, over_sequences("halves"), parameters(*given))
    assert set(by_sql["sixteenth"].to_pylist()) == set(range(16))
    for part in (packed.PART, 700):
        monkeypatch.setattr(packed, "PART", part)
        parts: list[pa.Table] = []
        with open_assigned(source, synthetic.assignment(log)) as con:
            assert packed.count_sixteenths(con, source, *given, parts.append) == 300
        counted = pa.concat_tables(parts).cast(by_sql.schema)
        assert counted.equals(by_sql)


@pytest.mark.parametrize("dedup", ["first", "adjacent"])
def test_all_events_tie(tmp_path: Path, dedup: Dedup) -> None:
    """A batch import writes one time for a whole day: the order is the hash's alone."""
    clusters = {f"i{n}": n for n in range(40)}
    events = [Event(f"u{user}", f"i{(user * 7 + n * n) % 40}", 0 if n < 30 else 5) for user in range(50) for n in range(60)]
    source = write_log(tmp_path / "events.parquet", events)
    counted = both(source, Sequences(dedup=dedup), DAY, assignment(clusters))
    assert triples(counted.table) == logs.reference(events, clusters, DAY, dedup)


def test_microseconds_and_text_that_hash_and_print_differently(tmp_path: Path) -> None:
    """The hash of a tie is that of the id's own bytes and of the time to the microsecond."""
    times = [START.replace(tzinfo=None) + timedelta(microseconds=n) for n in (1, 1, 1, 2, 999_999)]
    rows = [(user, item, ts) for user in ("ü", "日本 1", "%s", "_", "u'") for item, ts in zip("dcbad", times, strict=True)]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(dict(zip(("user", "item", "ts"), columns, strict=True))), tmp_path / "events.parquet")
    counted = both(Source(events=str(tmp_path / "events.parquet")), FIRST, DAY, assignment(LETTERS))
    assert counted.users == counted.sequences == 5
    assert counted.triples == 10


def test_ids_of_clusters_may_be_far_apart(tmp_path: Path) -> None:
    clusters = {"a": -(2**31), "b": -1, "c": 0, "d": 2**31 - 1}
    source = write_log(tmp_path / "events.parquet", logs.visits("u", "adcb"))
    assert packs(source, DAY, assignment(clusters))
    counted = both(source, FIRST, DAY, assignment(clusters))
    assert triples(counted.table) == {(-(2**31), 2**31 - 1, 0): 1, (2**31 - 1, 0, -1): 1}


def test_what_does_not_fit_is_left_to_the_sql(tmp_path: Path) -> None:
    """9,998 years of microseconds take 59 bits: 16 clusters fit beside them, 17 do not."""
    source = write_log(tmp_path / "events.parquet", logs.visits("u", "abc"))
    ages = Window(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
    for n, fits in ((16, True), (17, False)):
        clusters = assignment({item: number for number, item in enumerate("abcdefghijklmnopq"[:n])})
        assert packs(source, ages, clusters) is fits
        assert triples(both(source, FIRST, ages, clusters).table) == {(0, 1, 2): 1}


def test_items_without_a_cluster_are_left_to_the_sql(tmp_path: Path) -> None:
    source = write_log(tmp_path / "events.parquet", logs.visits("u", "abxcd"))
    clusters = pa.table({"item": list("abxcd"), "cluster": pa.array([0, 1, None, 2, 3], pa.int32())})
    assert not packs(source, DAY, clusters)
    both(source, ADJACENT, DAY, clusters)


def test_users_that_share_a_hash_are_left_to_the_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_log(tmp_path / "events.parquet", [*logs.visits("u", "abcd"), *logs.visits("v", "dcba")])
    assert packs(source, DAY, assignment(LETTERS))
    monkeypatch.setattr(packed, "HASH", 'hash(length({}."user"))')
    assert not packs(source, DAY, assignment(LETTERS))
    assert both(source, FIRST, DAY, assignment(LETTERS)).users == 2


def test_predicate_that_fails_under_way_says_so(tmp_path: Path) -> None:
    """Only an event without a user meets it, so it fails in the middle of the stream."""
    write_log(tmp_path / "events.parquet", [Event("u", "1", 0), Event(None, "x", 1)])
    source = Source(events=str(tmp_path / "events.parquet"), positive="\"user\" = 'u' OR CAST(item AS INTEGER) > 0")
    with pytest.raises(ValueError, match=r"source: Conversion Error.*'x'"):
        count_triples(source, FIRST, DAY, assignment({"1": 0}))


class TestShortCuts:
    """Sorts take shortened keys. These are made to collide."""

    def test_users_whose_hashes_differ_in_the_highest_bits_only(self) -> None:
        hashes = np.array([5, 1 << 63 | 5, 5 | 1 << 62], dtype=np.uint64)
        user = np.tile(hashes, 4)
        visit = np.arange(12) << 2 | np.repeat([0, 1, 2, 3], 3)
        counted = counting_kernel.count(user, visit, 2, True, no_ties)
        assert sorted(counted.codes.tolist()) == [0b000110] * 3 + [0b011011] * 3
        assert (counted.users, counted.sequences) == (3, 3)

    def test_ties_whose_hashes_differ_in_the_lowest_bits_only(self) -> None:
        """Four clusters at one time, to be put in the order 3, 1, 0, 2; then the same for another user, at two times."""
        lowest = np.array([2, 1, 3, 0], dtype=np.uint64)

        def digests(
            user: counting_kernel.Hashes, visit: counting_kernel.Ints
        ) -> tuple[counting_kernel.Hashes, counting_kernel.Hashes]:
            return np.full(len(visit), 7, dtype=np.uint64), lowest[visit & 3]

        user = np.repeat(np.array([1, 2], dtype=np.uint64), 4)
        visit = np.array([0, 1, 2, 3, 0 << 2 | 2, 0 << 2 | 3, 1 << 2 | 0, 1 << 2 | 1])
        counted = counting_kernel.count(user, visit, 2, True, digests)
        assert sorted(counted.codes.tolist()) == sorted([0b110100, 0b010010, 0b111001, 0b100100])

    @examples(50)
    @given(codes=st.lists(st.one_of(st.integers(0, 3), st.integers(2**62, 2**62 + 2)), min_size=1))
    def test_codes_that_leave_no_room_for_the_place(self, codes: list[int]) -> None:
        found = counting_kernel.first_of_each(np.array(codes, dtype=np.int64))
        assert found.tolist() == [code not in codes[:place] for place, code in enumerate(codes)]


def no_ties(user: counting_kernel.Hashes, visit: counting_kernel.Ints) -> tuple[counting_kernel.Hashes, counting_kernel.Hashes]:
    raise AssertionError("nothing ties")


@examples(50)
@given(codes=st.lists(st.integers(0, 5)))
def test_run_lengths(codes: list[int]) -> None:
    values, n = counting_kernel.run_lengths(np.array(codes, dtype=np.int64))
    assert dict(zip(values.tolist(), n.tolist(), strict=True)) == Counter(codes)
    assert values.tolist() == sorted(set(codes))


@examples(50)
@given(
    batches=st.lists(st.lists(st.one_of(st.integers(0, 3), st.sampled_from([7, (1 << KEY_BITS) - 1])), max_size=12), max_size=5),
    limit=st.integers(1, 8),
)
def test_parts_hold_every_row_once_and_never_split_a_key(batches: list[list[int]], limit: int) -> None:
    with shuffle(2) as rows:
        for number, keys in enumerate(batches):
            rows.add(np.array(keys, dtype=np.int64), np.array(keys, dtype=np.int64), np.arange(len(keys)) + 100 * number)
        parts = list(rows.parts(limit))
    keys_of = [set(part[0].tolist()) for part in parts]
    for before, after in pairwise(keys_of):
        assert max(before) < min(after)
    for part, own in zip(parts, keys_of, strict=True):
        assert own
        assert part.shape[1] <= limit or len(own) == 1
    given_rows = [(key, 100 * number + place) for number, keys in enumerate(batches) for place, key in enumerate(keys)]
    assert sorted((key, n) for part in parts for key, n in part.T.tolist()) == sorted(given_rows)
