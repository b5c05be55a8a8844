import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.interests.metrics import successors
from driftline.interests.metrics.successors import RANKINGS, Lists, jaccard, same_list, same_set, top_successors
from driftline.interests.triples import Triples
from tests.interests.tables import Counts, counts_of, table


def by_pair(lists: Lists, n_clusters: int) -> dict[tuple[int, int], list[int]]:
    """The lists of the pairs that have one."""
    pairs = [(c1, c2) for c1 in range(n_clusters) for c2 in range(n_clusters) if c1 != c2]
    return {pair: [c for c in row if c >= 0] for pair, row in zip(pairs, lists.tolist(), strict=True) if max(row) >= 0}


def lists(*rows: list[int]) -> Lists:
    return np.array(rows, dtype=np.int32)


def test_both_rankings_by_hand() -> None:
    """As a successor, 2 occurs 24 times and 3 occurs 4. After (0, 1) the rarer is the likelier than usual: 3/4 against 6/24."""
    found = top_successors(table({(0, 1, 2): 6, (0, 1, 3): 3, (3, 0, 2): 18, (2, 0, 3): 1}), 4, 2)

    assert by_pair(found.top["frequency"], 4) == {(0, 1): [2, 3], (2, 0): [3], (3, 0): [2]}
    assert by_pair(found.top["lift"], 4) == {(0, 1): [3, 2], (2, 0): [3], (3, 0): [2]}
    assert found.support.tolist() == [9, 0, 0, 0, 0, 0, 1, 0, 0, 18, 0, 0]
    assert found.top["frequency"].dtype == np.int32
    assert found.top["frequency"][0].tolist() == [2, 3]
    assert found.top["frequency"][6].tolist() == [3, -1]


def test_equal_lift_goes_by_n_then_by_the_hash() -> None:
    """After (0, 1): 2 and 3 have the lift 4/8 and 2/4, so the more frequent one leads; 4 and 5 differ in nothing but the hash."""
    counts = {(0, 1, 2): 4, (0, 1, 3): 2, (1, 0, 2): 4, (1, 0, 3): 2, (0, 1, 4): 1, (0, 1, 5): 1, (1, 0, 4): 3, (1, 0, 5): 3}
    pair = np.array([0, 0]), np.array([1, 1]), np.array([4, 5]), np.array([1, 1])
    last = [4, 5] if np.diff(Triples(*pair).tie_break().astype(float))[0] > 0 else [5, 4]
    top = top_successors(table(counts), 6, 9).top

    assert by_pair(top["lift"], 6)[0, 1] == [2, 3, *last]
    assert by_pair(top["frequency"], 6)[0, 1] == [2, 3, *last]


@given(counts_of(6), st.integers(1, 5))
def test_agrees_with_brute_force(counts: Counts, k: int) -> None:
    found = top_successors(table(counts), 6, k)
    total = {c: sum(n for (_, _, last), n in counts.items() if last == c) for c in range(6)}
    for ranking in RANKINGS:
        expected: dict[tuple[int, int], list[int]] = {}
        for c1, c2 in {(c1, c2) for c1, c2, _ in counts}:

            def key(triple: tuple[int, int, int], ranking: str = ranking) -> tuple[float, int, int]:
                n = counts[triple]
                score = n if ranking == "frequency" else n / total[triple[2]]
                tie = Triples(*(np.array([value]) for value in (*triple, n))).tie_break()[0]
                return -score, -n, int(tie)

            expected[c1, c2] = [c for _, _, c in sorted((t for t in counts if t[:2] == (c1, c2)), key=key)][:k]
        assert by_pair(found.top[ranking], 6) == expected
    assert found.support.sum() == sum(counts.values())


def test_parts_and_order_of_the_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    counts = {tuple(rng.permutation(9)[:3].tolist()): int(rng.integers(1, 9)) for _ in range(400)}
    ordered = {triple: counts[triple] for triple in sorted(counts)}
    whole = top_successors(table(ordered), 9, 3)
    for size in (1, 7, 100):
        monkeypatch.setattr(successors, "SLICE", size)
        for rows in (ordered, counts):
            found = top_successors(table(rows), 9, 3)
            assert all(np.array_equal(found.top[ranking], whole.top[ranking]) for ranking in RANKINGS)
            assert np.array_equal(found.support, whole.support)


def test_no_triple_gives_empty_lists() -> None:
    found = top_successors(table({}), 3, 5)

    assert found.support.tolist() == [0] * 6
    assert (found.top["lift"] == -1).all()


def test_foreign_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="not three distinct ids of 3 clusters"):
        top_successors(table({(0, 1, 3): 1}), 3, 5)


def test_jaccard_by_hand() -> None:
    """2 of 4 in common; a short list inside a long one; the same in another order; nothing in common; nothing at all."""
    a = lists([1, 2, 3], [7, -1, -1], [1, 2, 3], [1, 2, 3], [1, -1, -1], [-1, -1, -1])
    b = lists([3, 2, 4], [8, 7, 9], [3, 1, 2], [4, 5, -1], [-1, -1, -1], [-1, -1, -1])

    assert jaccard(a, b)[:5].tolist() == [0.5, 1 / 3, 1.0, 0.0, 0.0]
    assert np.isnan(jaccard(a, b)[5])
    assert np.array_equal(jaccard(a, b), jaccard(b, a), equal_nan=True)


def test_same_list_and_same_set_by_hand() -> None:
    a, b = lists([1, 2, 3], [1, 2, 3], [1, -1, -1]), lists([1, 2, 4], [2, 1, 3], [1, -1, -1])

    assert [same_list(a, b, k).tolist() for k in (1, 2, 3)] == [[True, False, True], [True, False, True], [False, False, True]]
    assert [same_set(a, b, k).tolist() for k in (1, 2, 3)] == [[True, False, True], [True, True, True], [False, True, True]]
