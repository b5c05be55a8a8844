import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.interests.metrics import AnswersCompared, Estimate, compare_answers

# The six ordered pairs of three clusters have one novel answer each; six numbers of any kind do for comparing.
WITH = np.array([3, 4, 5, 6, 7, 8])
WITHOUT = np.array([3, 4, 0, 0, 0, 0])
SAMPLED = np.array([3, 1, 1, 1, 1, 1])
ONCE = np.array([3, 4, 1, 2, 2, 2])
AGAIN = np.array([3, 4, 1, 0, 0, 0])


def compared(retrieved: pa.ListArray | pa.ChunkedArray | None) -> AnswersCompared:
    return compare_answers(
        greedy_with=WITH,
        greedy_without=WITHOUT,
        sampled_with=SAMPLED,
        sampled_without=(ONCE, AGAIN),
        retrieved=retrieved,
        temperature=0.8,
    )


def lists(values: list[list[int] | None]) -> pa.ListArray:
    return pa.array(values, pa.list_(pa.int32()))


TOLD: list[list[int] | None] = [[3], [9, 4], [5, 0], [1], [], None]
"""Four pairs are told something. WITH repeats it for the first three, WITHOUT for the same three (3, 4 and 0), SAMPLED for the
first and the fourth."""


def test_by_hand() -> None:
    found = compared(lists(TOLD))

    assert (found.temperature, found.pairs, found.with_line, found.missing) == (0.8, 6, 4, ())
    # The last two pairs are told nothing, and are in no share.
    assert found.greedy_with_without.value == pytest.approx(2 / 4)  # pairs 0 and 1
    assert found.sampled_with_without.value == pytest.approx(2 / 4)  # pairs 0 and 2
    assert found.sampled_repeated.value == pytest.approx(3 / 4)  # pairs 0, 1 and 2
    assert (found.repeats_retrieved.value, found.repeats_anyway.value, found.sampled_repeats_retrieved.value) == (0.75, 0.75, 0.5)
    assert found.repeats_retrieved.n == 4
    assert (found.sampled_repeated.n, found.sampled_with_without.n, found.greedy_with_without.n) == (4, 4, 4)
    # Four draws of which half are the same: an interval inside [0, 1] around it.
    assert found.sampled_with_without.low is not None
    assert found.sampled_with_without.high is not None
    assert 0 <= found.sampled_with_without.low < 0.5 < found.sampled_with_without.high <= 1


def test_untold_pairs_do_not_dilute_the_comparison() -> None:
    """Of six pairs only pair 3 is told anything, and its answer changes; that the others keep theirs says nothing about RAG."""
    found = compare_answers(
        greedy_with=np.array([0, 0, 0, 5, 0, 0]),
        greedy_without=np.zeros(6, dtype=np.int64),
        sampled_with=np.array([0, 0, 0, 5, 0, 0]),
        sampled_without=(np.zeros(6, dtype=np.int64), np.zeros(6, dtype=np.int64)),
        retrieved=lists([[], [], None, [5], [], []]),
        temperature=1.0,
    )

    assert (found.pairs, found.with_line) == (6, 1)
    assert (found.greedy_with_without.value, found.sampled_with_without.value, found.sampled_repeated.value) == (0, 0, 1)


def test_a_list_that_all_share_tells_every_pair() -> None:
    found = compared(None)

    nothing = Estimate(None, None, None, 0)
    assert (found.pairs, found.with_line) == (6, 6)
    assert found.greedy_with_without.value == pytest.approx(2 / 6)
    assert found.sampled_with_without.value == pytest.approx(2 / 6)
    assert found.sampled_repeated.value == pytest.approx(3 / 6)
    assert (found.repeats_retrieved, found.repeats_anyway, found.sampled_repeats_retrieved) == (nothing, nothing, nothing)
    (missing,) = found.missing
    assert missing == "repeats: not enough data: n = 0 pairs with a retrieved line of their own; all have the same list"


def test_chunks_do_not_matter() -> None:
    assert compared(pa.chunked_array([lists(TOLD[:1]), lists(TOLD[1:4]), lists(TOLD[4:])])) == compared(lists(TOLD))
    assert compared(lists([[7], *TOLD, [8]])[1:7]) == compared(lists(TOLD))  # a slice starts in the middle of its buffers


def test_nothing_retrieved_is_none_not_nan() -> None:
    found = compared(lists([[]] * 6))

    nothing = Estimate(None, None, None, 0)
    assert (found.repeats_retrieved, found.repeats_anyway, found.sampled_repeats_retrieved) == (nothing, nothing, nothing)
    assert (found.sampled_with_without, found.sampled_repeated, found.greedy_with_without) == (nothing, nothing, nothing)
    assert found.with_line == 0
    assert found.missing == ("not enough data: n = 0 pairs whose RAG prompt has a retrieved line",)


def test_other_pairs() -> None:
    with pytest.raises(ValueError, match="of the same 6 ordered pairs"):
        compared(lists(TOLD[:5]))


@given(st.lists(st.lists(st.integers(0, 9), max_size=4, unique=True), min_size=6, max_size=6))
def test_repeats_equal_brute_force(retrieved: list[list[int]]) -> None:
    told = [i for i, clusters in enumerate(retrieved) if clusters]
    found = compared(lists([*retrieved]))

    assert found.with_line == len(told)
    for answers, estimate in ((WITH, found.repeats_retrieved), (WITHOUT, found.repeats_anyway)):
        hits = [int(answers[i]) in retrieved[i] for i in told]
        assert estimate.value == (pytest.approx(np.mean(hits)) if told else None)
    same = [WITH[i] == WITHOUT[i] for i in told]
    assert found.greedy_with_without.value == (pytest.approx(np.mean(same)) if told else None)
