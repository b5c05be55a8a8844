"""What one day says about counts of different age, by hand."""

import pyarrow as pa
import pytest

from driftline.interests.cadence_day import day_hits, of_day
from tests.interests.tables import table

# In the first window (0, 1) leads to 2, in the second to 3; (2, 3) leads to 0 in both.
BEFORE = table({(0, 1, 2): 50, (2, 3, 0): 50, (1, 0, 2): 20, (3, 2, 0): 20})
AFTER = table({(0, 1, 3): 50, (2, 3, 0): 50, (1, 0, 3): 20, (3, 2, 0): 20})


def test_fresh_counts_hit_what_stale_ones_miss() -> None:
    day = table({(0, 1, 3): 7, (0, 1, 2): 2, (2, 3, 0): 5, (2, 3, 1): 1})
    found = day_hits(day, AFTER, BEFORE, BEFORE, 4)

    assert (found.triples, found.fresh, found.stale, found.apart) == (15, 12, 7, 9)
    assert (found.learned, found.learned_apart, found.changed) == (7, 9, 9 / 15)
    same = day_hits(day, AFTER, AFTER, None, 4)
    assert (same.fresh, same.stale, same.apart, same.learned, same.changed) == (12, 12, 0, None, 0)


def test_a_day_of_many_pairs_is_asked_a_few_pairs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    day = table({(0, 1, 3): 7, (0, 1, 2): 2, (2, 3, 0): 5, (2, 3, 1): 1, (3, 2, 0): 4})
    whole = day_hits(day, AFTER, BEFORE, BEFORE, 4)
    monkeypatch.setattr("driftline.interests.counting_model.CELLS", 4)
    assert day_hits(day, AFTER, BEFORE, BEFORE, 4) == whole


def test_a_day_without_a_triple_says_nothing() -> None:
    found = day_hits(table({(0, 1, 2): 1})[:0], AFTER, BEFORE, None, 4)
    assert (found.triples, found.fresh, found.changed) == (0, 0, None)


def test_triples_of_the_last_day_are_what_the_longer_window_has_more() -> None:
    narrow, wide = table({(0, 1, 2): 3, (1, 2, 0): 1}), table({(0, 1, 2): 5, (1, 2, 0): 1, (2, 0, 1): 4})
    assert of_day(wide, narrow).cast(pa.schema(wide.schema)).equals(table({(0, 1, 2): 2, (2, 0, 1): 4}))
    assert of_day(wide, wide).num_rows == 0
