"""The replay from histories to items, by hand."""

import numpy as np
import pyarrow as pa
import pytest

from driftline.interests.metrics.policy import Outcomes, policy
from driftline.interests.recommender.index import by_cluster

INDEX = by_cluster(pa.table({"item": list("abcxyz"), "cluster": pa.array([0, 0, 1, 2, 2, 2], pa.int32())}), 3)


def rows(*names: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.concatenate([INDEX.rows(pa.array(list(name))) for name in names]).astype(np.int32)


def test_what_was_taken_up_by_hand() -> None:
    # ann had interest 0 and then takes y (2) and b (0); bob had 0 and 2 and takes c (1).
    outcomes = Outcomes((rows("a"), rows("ax")), (rows("yb"), rows("c")), INDEX.clusters)
    nothing = np.array([-1, -1], np.int32)
    arms = {
        "policy": np.stack([rows("xz"), np.append(rows("c"), -1)]).astype(np.int32),
        "other": np.stack([rows("by"), nothing]),
    }
    found = policy(outcomes, arms, 6)
    ours, other = found.arms
    assert (found.users, found.at) == (2, 2)
    assert (ours.interest.value, ours.item.value, ours.explored.value, ours.novel.value) == (1, 0.5, 0.5, 1)
    assert (other.interest.value, other.item.value, other.explored.value, other.novel.value) == (0.5, 0.5, 0.5, 0.25)
    assert (ours.items, other.items) == (3, 2)
    assert ours.effective_items == pytest.approx(3)
    assert found.differences[0].estimate.value == 0
    assert (found.differences[0].a, found.differences[0].b) == ("policy", "other")


def test_without_a_user_there_is_no_number_but_a_sentence() -> None:
    empty = np.empty((0, 10), np.int32)
    found = policy(Outcomes((), (), INDEX.clusters), {"policy": empty, "other": empty}, 6)
    assert found.arms[0].item.value is None
    assert found.arms[0].effective_items is None
    assert found.missing
