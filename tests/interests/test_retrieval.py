import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts import Retrieval
from driftline.interests.pairs import pairs
from driftline.interests.retrieval import Retrieved, retrieve
from tests.interests.tables import Counts, counts_of, table

PAPER = {(1, 2, 3): 10, (1, 2, 4): 8, (1, 2, 5): 2}
"""The worked example of paper §2.3.1."""


def by_pair(retrieved: Retrieved, n_clusters: int) -> dict[tuple[int, int], list[int]]:
    c1, c2 = pairs(n_clusters)
    rows = zip(c1.tolist(), c2.tolist(), retrieved.successors.to_pylist(), strict=True)
    return {(a, b): successors for a, b, successors in rows if successors}


def instance(counts: Counts, previous: Counts | None = None, **knobs: object) -> dict[tuple[int, int], list[int]]:
    similarity = "frequency" if previous is None else "trend"
    retrieval = Retrieval(similarity=similarity, **knobs)  # type: ignore[arg-type]
    return by_pair(retrieve(table(counts), None if previous is None else table(previous), retrieval, 6), 6)


def test_the_papers_example() -> None:
    assert instance(PAPER) == {(1, 2): [3]}
    assert instance(PAPER, top_k=2) == {(1, 2): [3, 4]}
    assert instance(PAPER, top_k=9) == {(1, 2): [3, 4, 5]}
    assert retrieve(table(PAPER), None, Retrieval(), 6).unseen == 6 * 5 - 1


def test_trend_is_the_signed_change_of_a_share() -> None:
    """Shares now .5, .4, .1; before .8, .2, 0: changes −.3, +.2, +.1."""
    before = {(1, 2, 3): 80, (1, 2, 4): 20}

    assert instance(PAPER, before) == {(1, 2): [4]}
    assert instance(PAPER, before, top_k=9) == {(1, 2): [4, 5]}  # a share that fell is not retrieved


def test_trend_needs_support_in_both_windows_together() -> None:
    assert instance({(1, 2, 3): 2}, {(1, 2, 4): 2}, min_support=5) == {}
    assert instance({(1, 2, 3): 2}, {(1, 2, 4): 3}, min_support=5) == {(1, 2): [3]}
    assert instance({(1, 2, 3): 5}, {}, min_support=5) == {(1, 2): [3]}


def test_global_is_one_list_for_all() -> None:
    counts = table(PAPER | {(2, 1, 0): 9})
    found = retrieve(counts, None, Retrieval(granularity="global", global_triples=2), 6)

    assert found.triples.to_pylist() == [{"c1": 1, "c2": 2, "c_next": 3}, {"c1": 2, "c2": 1, "c_next": 0}]
    assert by_pair(found, 6) == {}
    assert found.unseen == 0


def test_global_trend_is_the_change_of_the_share_of_the_window() -> None:
    """Shares of all: (1,2,3) .5 → .2, (1,2,4) .5 → .7, (2,1,0) 0 → .1."""
    retrieval = Retrieval(granularity="global", similarity="trend", min_support=1)
    found = retrieve(table({(1, 2, 3): 2, (1, 2, 4): 7, (2, 1, 0): 1}), table({(1, 2, 3): 5, (1, 2, 4): 5}), retrieval, 6)

    assert [row["c_next"] for row in found.triples.to_pylist()] == [4, 0]


@given(counts_of(6).filter(bool), st.integers(1, 4))
def test_top_k_is_sorted_and_independent_of_row_order(counts: Counts, k: int) -> None:
    found = instance(counts, top_k=k)

    assert found == instance(dict(sorted(counts.items(), reverse=True)), top_k=k)
    for (c1, c2), successors in found.items():
        n = {c: n for (a, b, c), n in counts.items() if (a, b) == (c1, c2)}
        assert [n[c] for c in successors] == sorted(n.values(), reverse=True)[:k]
    assert set(found) == {(c1, c2) for c1, c2, _ in counts}


@given(counts_of(5).filter(bool), counts_of(5), st.integers(1, 4), st.integers(1, 4))
def test_trend_equals_brute_force(counts: Counts, previous: Counts, k: int, support: int) -> None:
    def share(window: Counts, c1: int, c2: int, c: int) -> float:
        whole = sum(n for (a, b, _), n in window.items() if (a, b) == (c1, c2))
        return window.get((c1, c2, c), 0) / whole if whole else 0.0

    for (c1, c2), successors in instance(counts, previous, top_k=k, min_support=support).items():
        change = {c: share(counts, c1, c2, c) - share(previous, c1, c2, c) for a, b, c in counts if (a, b) == (c1, c2)}
        assert [change[c] for c in successors] == pytest.approx(
            sorted((x for x in change.values() if x > -1e-9), reverse=True)[:k]
        )
        assert sum(n for window in (counts, previous) for (a, b, _), n in window.items() if (a, b) == (c1, c2)) >= support


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="widen the window"):
        retrieve(table({}), None, Retrieval(), 6)
    with pytest.raises(ValueError, match="window before"):
        retrieve(table(PAPER), None, Retrieval(similarity="trend"), 6)
    with pytest.raises(ValueError, match=r"not three distinct ids of 5 clusters, e\.g\. \(1, 2\) → 5"):
        retrieve(table(PAPER), None, Retrieval(), 5)
