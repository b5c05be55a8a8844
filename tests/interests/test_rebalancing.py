import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from driftline.interests.rebalancing import Bounds, settle

LINE = np.arange(12, dtype=np.float32)[:, None]
"""Twelve rows on a line; parts have their centres at 0, 5 and 10."""
CENTRES = np.array([[0], [5], [10]], dtype=np.float32)


def settled(part: list[int], weight: NDArray[np.float64], bounds: Bounds) -> list[int]:
    found: list[int] = settle(LINE.__getitem__, weight, np.array(part, dtype=np.int32), CENTRES, bounds).tolist()
    return found


def test_rows_within_the_bounds_stay() -> None:
    part = [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]

    assert settled(part, np.ones(12), Bounds(3, 5, 1)) == part


def test_those_move_that_lose_least() -> None:
    assert settled([0] * 6 + [1] * 2 + [2] * 4, np.ones(12), Bounds(3, 5, 1)) == [0] * 5 + [1] * 3 + [2] * 4


def test_every_part_gets_its_fewest_rows() -> None:
    part = settled([1] * 12, np.full(12, 1e-9), Bounds(0, 100, 4))

    assert np.bincount(part).tolist() == [4, 4, 4]
    assert part[0] == 0
    assert part[-1] == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=12, max_size=12), st.lists(st.floats(0.01, 1), min_size=12, max_size=12))
def test_bounds_hold_where_no_row_is_wider_than_their_room(part: list[int], drawn: list[float]) -> None:
    weight = np.array(drawn)
    mean = weight.sum() / 3

    load = np.bincount(settled(part, weight, Bounds(mean - 1, mean + 1, 1)), weight, 3)

    assert load == pytest.approx(mean, abs=1 + 1e-6)
