import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from driftline.interests import metrics
from driftline.interests.mapping import answers_of
from driftline.interests.pairs import pairs
from tests.interests.tables import Counts, counts_of, recall, table


def mapping(answers: dict[tuple[int, int], int], n_clusters: int, exact: int = 0) -> pa.Table:
    """A complete mapping: `answers`, and for every other pair its lowest novel id; the first `exact` rows are exact."""
    c1, c2 = (column.astype(np.int32) for column in pairs(n_clusters))
    rows = list(zip(c1.tolist(), c2.tolist(), strict=True))
    c_next = [answers.get(pair, next(c for c in range(n_clusters) if c not in pair)) for pair in rows]
    return pa.table({"c1": c1, "c2": c2, "c_next": pa.array(c_next, pa.int32()), "exact": [i < exact for i in range(len(rows))]})


def test_baselines_by_hand() -> None:
    """As a successor, 3 occurs 9 times, 2 occurs 4, 0 occurs 1. The pair (1, 3) was followed by 2 more often than by 0."""
    counts = table({(0, 1, 3): 9, (1, 3, 2): 4, (1, 3, 0): 1})
    popular = {(row["c1"], row["c2"]): row["c_next"] for row in metrics.most_popular(counts, 4).to_pylist()}
    frequent = {(row["c1"], row["c2"]): row["c_next"] for row in metrics.most_frequent(counts, 4).to_pylist()}

    assert (popular[0, 1], popular[3, 1], popular[3, 2], popular[2, 3]) == (3, 2, 0, 0)
    assert (frequent[1, 3], frequent[0, 1], frequent[3, 2]) == (2, 3, 0)


@given(counts_of(5).filter(bool))
def test_most_frequent_is_the_best_on_its_own_window(counts: Counts) -> None:
    own = table(counts)

    assert (recall(metrics.most_frequent(own, 5), own) or 0) >= (recall(metrics.most_popular(own, 5), own) or 0)


def test_incomplete_mappings_and_too_few_clusters() -> None:
    with pytest.raises(ValueError, match="leaves 1 of 12 ordered pairs without an answer"):
        answers_of(mapping({}, 4)[1:], 4)
    with pytest.raises(ValueError, match="2 clusters leave no novel one"):
        metrics.chance(2)
