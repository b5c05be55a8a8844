from datetime import datetime

import pytest

from driftline.interests.metrics.staleness import staleness
from driftline.interests.metrics.successors import Successors, top_successors
from tests.interests.tables import Counts, table

DATE = datetime(2024, 3, 1)


def listed(counts: Counts, k: int = 2) -> Successors:
    return top_successors(table(counts), 5, k)


def test_by_hand() -> None:
    """Three pairs are supported. A day later (0, 1) is unchanged, (1, 2) has swapped its two, and (2, 3) is seen no more."""
    retrieved = listed({(0, 1, 2): 5, (0, 1, 3): 4, (1, 2, 3): 4, (1, 2, 4): 3, (2, 3, 4): 6, (3, 4, 0): 1})
    later = listed({(0, 1, 2): 9, (0, 1, 3): 4, (1, 2, 3): 4, (1, 2, 4): 5, (3, 4, 0): 1})
    found = staleness(retrieved, [(1, later)], [1, 2], 5, DATE, 30)

    assert (found.pairs, found.retrieved_at, found.window_days, found.missing) == (3, DATE, 30, ())
    assert [(point.days, point.top_k) for point in found.points] == [(1, 1), (1, 2)]
    assert [point.same_list.value for point in found.points] == [pytest.approx(1 / 3)] * 2
    assert [point.same_set.value for point in found.points] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert {point.same_list.n for point in found.points} == {3}


def test_nothing_moves_nothing_is_stale() -> None:
    same = listed({(0, 1, 2): 5, (1, 2, 3): 5})
    found = staleness(same, [(1, same), (28, same)], [1, 2], 1, DATE, 30)

    assert {(point.same_list.value, point.same_set.value) for point in found.points} == {(1.0, 1.0)}


def test_too_little_data_is_said_and_is_none() -> None:
    rare = listed({(0, 1, 2): 4})
    found = staleness(rare, [(1, rare)], [1], 5, DATE, 30)

    assert (found.pairs, found.points[0].same_list.value, found.points[0].same_list.n) == (0, None, 0)
    assert found.missing == ("staleness: not enough data: n = 0 pairs with 5 occurrences in the 30 days before 2024-03-01",)
    alone = staleness(rare, [], [1], 1, DATE, 30)
    assert alone.points == ()
    assert alone.missing == ("staleness: not enough data: n = 0 days after 2024-03-01 are in the log",)


def test_lists_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match=r"stale_top_k = \[1, 3\] must lie between 1 and 2"):
        staleness(listed({}), [(1, listed({}))], [1, 3], 5, DATE, 30)
    with pytest.raises(ValueError, match="lists of 20 and of 30 pairs"):
        staleness(listed({}), [(1, top_successors(table({}), 6, 2))], [1], 5, DATE, 30)
