"""The next novel interests of a history: the table's answer, and by the window's counts what to say where it has none.

Ties of counts go to the interest with more traffic, then to the lower id.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from driftline.interests.pairs import Ids, Ints, id_type, pair_number

How = Literal["pair", "backed_off", "popular"]
"""`pair`: the table's answer; `backed_off`: a successor of the newest interest; `popular`: a successor of any."""


@dataclass(frozen=True)
class RankedSuccessors:
    """Interests by how often they came next in a window."""

    starts: Ids
    """[|C| + 1]: the successors of interest c are `successors[starts[c] : starts[c + 1]]`."""
    successors: Ids
    """Most frequent first; only those that the window has."""
    popular: Ids
    """[|C|]: every interest, the most frequent successor first."""


def rank(followed: Ints, traffic: Ints) -> RankedSuccessors:
    """Successors in their order.

    Args:
        followed: [|C|, |C|], how often the column's interest followed upon the row's.
        traffic: [|C|], positive events of each interest.
    """
    n_clusters, kind = len(traffic), id_type(len(traffic))
    c2, c_next = followed.nonzero()
    order = np.lexsort((c_next, -traffic[c_next], -followed[c2, c_next], c2))
    starts = np.searchsorted(c2, np.arange(n_clusters + 1)).astype(np.int32)
    popular = np.lexsort((np.arange(n_clusters), -traffic, -followed.sum(axis=0)))
    return RankedSuccessors(starts, c_next[order].astype(kind), popular.astype(kind))


def sequence(history: Iterable[int], dedup: str) -> list[int]:
    """A history as a sequence (design §3.1): `first` keeps where an interest first occurs, `adjacent` collapses repeats."""
    if dedup == "first":
        return list(dict.fromkeys(history))
    kept: list[int] = []
    for interest in history:
        if not kept or kept[-1] != interest:
            kept.append(interest)
    return kept


def next_interests(answers: Ids, ranking: RankedSuccessors, sequence: Sequence[int], top: int = 1) -> list[tuple[int, How]]:
    """Ranks up to `top` interests that the sequence does not contain: the table's answer, then what it backs off to (`How`).

    Where the sequence contains every interest, those that its last two are not: then nothing is novel, and the table's answer
    stands. Fewer than `top` where fewer are left.

    Args:
        answers: the table's, by number of the pair (`interests.pairs`).
        sequence: oldest first, all below |C|; any length, none among them.
    """
    had = set(sequence)
    if len(had) == len(ranking.popular):
        had = set(sequence[-2:])
    found: dict[int, How] = {}
    for interest, how in _candidates(answers, ranking, sequence):
        if interest not in had and interest not in found:
            found[interest] = how
            if len(found) == top:
                break
    return list(found.items())


def _candidates(answers: Ids, ranking: RankedSuccessors, sequence: Sequence[int]) -> Iterator[tuple[int, How]]:
    if len(sequence) > 1:
        c1, c2 = sequence[-2:]
        yield int(answers[pair_number(c1, c2, len(ranking.popular))]), "pair"
    if sequence:
        first, end = ranking.starts[sequence[-1] : sequence[-1] + 2]
        for interest in ranking.successors[first:end]:
            yield int(interest), "backed_off"
    for interest in ranking.popular:
        yield int(interest), "popular"
