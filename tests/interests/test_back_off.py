from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.interests.back_off import RankedSuccessors, next_interests, rank, sequence
from driftline.interests.pairs import pairs


def ranked(rows: list[tuple[int, int, int]], traffic: list[int]) -> RankedSuccessors:
    followed = np.zeros((len(traffic), len(traffic)), np.int64)
    for c2, c_next, n in rows:
        followed[c2, c_next] = n
    return rank(followed, np.array(traffic, np.int64))


def successors(ranking: RankedSuccessors, interest: int) -> list[int]:
    return [int(c) for c in ranking.successors[ranking.starts[interest] : ranking.starts[interest + 1]]]


def test_successors_are_ranked_by_count_then_traffic_then_id() -> None:
    ranking = ranked([(0, 1, 2), (0, 2, 5), (0, 3, 2), (2, 1, 1), (2, 4, 1)], [1, 10, 1, 20, 10])
    assert successors(ranking, 0) == [2, 3, 1]  # 1 and 3 both twice: 3 has more traffic
    assert successors(ranking, 1) == []
    assert successors(ranking, 2) == [1, 4]  # alike in all: the lower id
    assert successors(ranking, 4) == []
    assert ranking.popular.tolist() == [2, 1, 3, 4, 0]  # 5, 3, 2, 1 and no times


def test_a_window_without_a_triple_ranks_by_traffic() -> None:
    assert ranked([], [1, 9, 5]).popular.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("history", "first", "adjacent"),
    [
        ([], [], []),
        ([4, 4, 4], [4], [4]),
        ([1, 1, 2, 1], [1, 2], [1, 2, 1]),
        ([1, 2, 2, 3, 1], [1, 2, 3], [1, 2, 3, 1]),
    ],
)
def test_a_history_becomes_a_sequence_as_the_window_s_do(history: list[int], first: list[int], adjacent: list[int]) -> None:
    assert sequence(history, "first") == first
    assert sequence(history, "adjacent") == adjacent


CLUSTERS = 5
ANSWERS = np.array([next(c for c in (3, 4, 0) if c not in pair) for pair in zip(*pairs(CLUSTERS), strict=True)], np.int16)
RANKING = ranked([(0, 1, 4), (0, 2, 9), (1, 2, 3)], [50, 40, 30, 20, 10])  # popular: 2, 1, 0, 3, 4


@pytest.mark.parametrize(
    ("history", "top", "expected"),
    [
        ([0, 1], 1, [(3, "pair")]),
        ([0, 1], 9, [(3, "pair"), (2, "backed_off"), (4, "popular")]),
        ([3, 0, 1], 1, [(2, "backed_off")]),  # the table's answer is in the history
        ([3, 2, 0, 1], 2, [(4, "popular")]),  # and so are all successors: fewer than asked for
        ([0], 1, [(2, "backed_off")]),
        ([4], 1, [(2, "popular")]),  # nothing is known to follow upon 4
        ([], 2, [(2, "popular"), (1, "popular")]),
        ([2, 3, 4, 0, 1], 1, [(3, "pair")]),  # all are in the history: the table's answer stands
        ([2, 3, 4, 1, 0], 3, [(3, "pair"), (2, "backed_off"), (4, "popular")]),
    ],
)
def test_worked_examples(history: list[int], top: int, expected: list[tuple[int, str]]) -> None:
    assert next_interests(ANSWERS, RANKING, history, top) == expected


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, list[int], dict[tuple[int, int], int], list[int]]:
    """|C|, the table's answers, counts by (c2, c_next), traffic."""
    size = draw(st.integers(3, 7))
    ids = st.integers(0, size - 1)
    answers = [draw(st.sampled_from(sorted({*range(size)} - {a, b}))) for a, b in zip(*pairs(size), strict=True)]
    followed = st.tuples(ids, ids).filter(lambda two: two[0] != two[1])
    counts = draw(st.dictionaries(followed, st.integers(1, 5), max_size=20))
    return size, answers, counts, draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))


@given(worlds(), st.data())
def test_rules_against_their_words(
    world: tuple[int, list[int], dict[tuple[int, int], int], list[int]], data: st.DataObject
) -> None:
    size, answers, counts, traffic = world
    history = data.draw(st.lists(st.integers(0, size - 1), max_size=10))
    dedup, top = data.draw(st.sampled_from(["first", "adjacent"])), data.draw(st.integers(1, size))
    seen = sequence(history, dedup)
    ranking = ranked([(*two, n) for two, n in counts.items()], traffic)
    found = next_interests(np.array(answers), ranking, seen, top)

    def by_the_words() -> Iterator[tuple[int, str]]:
        if len(seen) > 1:
            yield answers[list(zip(*pairs(size), strict=True)).index((seen[-2], seen[-1]))], "pair"
        if seen:
            after = [c for c in range(size) if (seen[-1], c) in counts]
            yield from ((c, "backed_off") for c in sorted(after, key=lambda c: (-counts[seen[-1], c], -traffic[c], c)))
        total = [sum(n for (_, c_next), n in counts.items() if c_next == c) for c in range(size)]
        yield from ((c, "popular") for c in sorted(range(size), key=lambda c: (-total[c], -traffic[c], c)))

    everything = set(history) == set(range(size))
    allowed = [(c, how) for c, how in by_the_words() if c not in (set(seen[-2:]) if everything else set(history))]
    first: dict[int, str] = {}
    for c, how in allowed:
        first.setdefault(c, how)
    assert found == list(first.items())[:top]
    assert found, "there is always an answer"
    assert everything or not {c for c, _ in found} & set(history)
