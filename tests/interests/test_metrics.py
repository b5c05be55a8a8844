import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from scipy.stats import binomtest

from driftline.interests import metrics
from driftline.interests.mapping import check
from driftline.interests.triples import pairs
from tests.interests.tables import Counts, counts_of, table


def mapping(answers: dict[tuple[int, int], int], n_clusters: int, exact: int = 0) -> pa.Table:
    """A complete mapping: `answers`, and for every other pair its lowest novel id; the first `exact` rows are exact."""
    c1, c2 = (column.astype(np.int32) for column in pairs(n_clusters))
    rows = list(zip(c1.tolist(), c2.tolist(), strict=True))
    c_next = [answers.get(pair, next(c for c in range(n_clusters) if c not in pair)) for pair in rows]
    return pa.table({"c1": c1, "c2": c2, "c_next": pa.array(c_next, pa.int32()), "exact": [i < exact for i in range(len(rows))]})


def test_recall_by_hand() -> None:
    """(0,1)→2 is right 6 times, (1,2)→3 is right once, (0,1)→3 and (2,3)→1 are not: 7 of 10."""
    test = table({(0, 1, 2): 6, (0, 1, 3): 2, (1, 2, 3): 1, (2, 3, 1): 1})
    found = metrics.recall(mapping({(0, 1): 2, (1, 2): 3, (2, 3): 0}, 4), test, 4)

    assert (found.hits, found.n, found.value) == (7, 10, 0.7)
    assert found.low(0.95) == pytest.approx(binomtest(7, 10, alternative="greater").proportion_ci(0.95, method="exact").low)


def test_baselines_by_hand() -> None:
    """As a successor, 3 occurs 9 times, 2 occurs 4, 0 occurs 1. The pair (1, 3) was followed by 2 more often than by 0."""
    counts = table({(0, 1, 3): 9, (1, 3, 2): 4, (1, 3, 0): 1})
    popular = {(row["c1"], row["c2"]): row["c_next"] for row in metrics.most_popular(counts, 4).to_pylist()}
    frequent = {(row["c1"], row["c2"]): row["c_next"] for row in metrics.most_frequent(counts, 4).to_pylist()}

    assert (popular[0, 1], popular[3, 1], popular[3, 2], popular[2, 3]) == (3, 2, 0, 0)
    assert (frequent[1, 3], frequent[0, 1], frequent[3, 2]) == (2, 3, 0)


def test_evaluate_by_hand() -> None:
    found = metrics.evaluate(
        mapping({(0, 1): 2}, 4, exact=9),
        table({(0, 1, 3): 9, (1, 2, 0): 3}),
        table({(0, 1, 2): 1, (0, 1, 3): 3}),
        4,
        confidence=0.95,
    )

    assert (found.exact_match_rate, found.recall, found.recall_chance, found.test_triples) == (0.75, 0.25, 0.5, 4)
    assert (found.recall_popular, found.recall_frequent) == (0.75, 0.75)
    assert found.recall_low == pytest.approx(1 - 0.95 ** (1 / 4))  # one of four: (1 − p)⁴ = 0.95
    assert found.coverage == 3  # `mapping` answers 0, 1 and 2


def test_no_data_is_none_not_nan() -> None:
    found = metrics.evaluate(mapping({}, 4), table({}), table({}), 4, 0.95)

    assert (found.recall, found.recall_low, found.recall_popular, found.recall_frequent, found.test_triples) == (
        None,
        None,
        None,
        None,
        0,
    )


@given(counts_of(5), counts_of(5))
def test_recall_equals_brute_force(counts: Counts, test: Counts) -> None:
    for baseline in (metrics.most_popular(table(counts), 5), metrics.most_frequent(table(counts), 5)):
        check(baseline, 5)
        answers = {(row["c1"], row["c2"]): row["c_next"] for row in baseline.to_pylist()}
        found = metrics.recall(baseline, table(test), 5)
        assert found.hits == sum(n for (c1, c2, c), n in test.items() if answers[c1, c2] == c)
        assert found.n == sum(test.values())
        if found.value is not None:
            assert 0 <= (found.low(0.95) or 0) <= found.value <= 1


@given(counts_of(5).filter(bool))
def test_most_frequent_is_the_best_on_its_own_window(counts: Counts) -> None:
    own = table(counts)

    assert metrics.recall(metrics.most_frequent(own, 5), own, 5).hits >= metrics.recall(metrics.most_popular(own, 5), own, 5).hits


def test_incomplete_mappings_and_too_few_clusters() -> None:
    with pytest.raises(ValueError, match="leaves 1 of 12 ordered pairs without an answer"):
        metrics.recall(mapping({}, 4)[1:], table({(0, 1, 2): 1}), 4)
    with pytest.raises(ValueError, match="2 clusters leave no novel one"):
        metrics.chance(2)
