"""What unequal sample sizes do to a Jaccard similarity, so that a log that grows does not look like one that drifts.

A small and a large sample of one distribution overlap less than two equal ones, even without drift. So across two windows of
unequal size Jaccard falls below the mean of their ceilings. By how much is measured inside a single window, where nothing
drifts: a half against the other half thinned, beside both halves thinned and neither.
"""

import numpy as np
from numpy.typing import NDArray

from driftline.interests.metrics.successors import RANKINGS, Lists, Ranking, jaccard, ranked
from driftline.interests.pairs import Ints, pair_count
from driftline.interests.triples import Triples

HALVINGS = 3
"""Samples are thinned to a half, a quarter and an eighth."""
RUNGS = 16
"""Pairs are told apart by ⌊log2 support⌋; those with more occurrences than 2 ** RUNGS count as the last rung."""
PAIRS = 30_000
"""Of more ordered pairs than this, so many are drawn at random and measured: the mean has a cost, too."""
TOGETHER = 1 << 19
"""Occurrences that are thinned together, or those of one pair."""

Floats = NDArray[np.float64]
Unevenness = dict[Ranking, Floats]
"""float64 [RUNGS, HALVINGS, 2]: sum and number of the differences, by ⌊log2⌋ of the size and how often it was halved."""


def no_unevenness() -> Unevenness:
    return {ranking: np.zeros((RUNGS, HALVINGS, 2)) for ranking in RANKINGS}


def add_unevenness(
    found: Unevenness, a: Triples, b: Triples, totals: tuple[Ints, Ints], k: int, n_clusters: int, rng: np.random.Generator
) -> None:
    """Sums, over the pairs of some c1, how much less alike halves of unequal size are; adds it to `found`.

    For the halves A and B of a pair, both thinned at random to the smaller's size m, and A′ and B′ thinned on to m / 2 ** r:

        (J(A, B) + J(A′, B′)) / 2  −  (J(A, B′) + J(A′, B)) / 2

    Args:
        a, b: the same triples, all of their pairs, sorted; n of each half, 0 where it has none.
        totals: n(·, ·, c) of each half, int64 [clusters].
    """
    pair = a.pair(n_clusters)
    pairs, place = np.unique(pair, return_inverse=True)
    sizes = [np.bincount(place, half.n, len(pairs)).astype(np.int64) for half in (a, b)]
    smaller = np.minimum(*sizes)
    drawn = rng.random(len(pairs)) < PAIRS / pair_count(n_clusters)
    use = drawn & (smaller >= 2) & (np.maximum(*sizes) <= 1 << RUNGS)
    group = np.cumsum(np.where(use, sizes[0] + sizes[1], 0)) // TOGETHER
    for number in np.unique(group[use]):
        chosen = use & (group == number)
        rows = np.flatnonzero(chosen[place])
        new_place = (np.cumsum(chosen) - 1)[place[rows]]
        halves = [Triples(half.c1[rows], half.c2[rows], half.c_next[rows], half.n[rows]) for half in (a, b)]
        _measure(found, halves, totals, new_place, smaller[chosen], k, rng)


def _measure(
    found: Unevenness,
    halves: list[Triples],
    totals: tuple[Ints, Ints],
    place: Ints,
    size: Ints,
    k: int,
    rng: np.random.Generator,
) -> None:
    rung = np.minimum(np.log2(size).astype(np.int64), RUNGS - 1)
    kept = [_thinned(half.n, place, size, rng) for half in halves]
    for ranking in RANKINGS:
        lists: list[list[Lists]] = [
            [ranked(Triples(half.c1, half.c2, half.c_next, n), total, ranking, place, len(size), k) for n in levels]
            for half, total, levels in zip(halves, totals, kept, strict=True)
        ]
        (a, *a_thin), (b, *b_thin) = lists
        for halvings in range(HALVINGS):
            there = np.flatnonzero(size >> (halvings + 1))
            one, other, a2, b2 = a[there], b[there], a_thin[halvings][there], b_thin[halvings][there]
            difference = (jaccard(one, other) + jaccard(a2, b2) - jaccard(one, b2) - jaccard(a2, other)) / 2
            found[ranking][:, halvings, 0] += np.bincount(rung[there], difference, RUNGS)
            found[ranking][:, halvings, 1] += np.bincount(rung[there], minlength=RUNGS)


def _thinned(n: Ints, place: Ints, size: Ints, rng: np.random.Generator) -> list[Ints]:
    """n after drawing size, size / 2, size / 4 … of each place's occurrences without replacement; each from the one before."""
    occurrence = np.repeat(np.arange(len(n)), n)
    of = place[occurrence]  # ascending
    shuffled = occurrence[np.argsort(of + rng.random(len(of)))]
    rank = np.arange(len(of)) - np.searchsorted(of, of)
    return [np.bincount(shuffled[rank < (size >> r)[of]], minlength=len(n)) for r in range(HALVINGS + 1)]


def expected(found: Floats, one: Ints, other: Ints) -> Floats:
    """Expected loss of Jaccard similarity between samples of these sizes, beside two pairs of equal ones, without drift.

    It grows with the square of log2 of the ratio; the factor is read off at the ratios 2, 4 and 8, by the larger size.

    Args:
        found: float64 [RUNGS, HALVINGS, 2], one ranking's, of all windows together.
        one, other: int64 [n], occurrences, at least 1.
    """
    rungs = np.flatnonzero(found[:, 0, 1])
    result = np.zeros(len(one))
    if not len(rungs):
        return result
    rung = np.minimum(np.log2(np.maximum(one, other)).astype(np.int64), RUNGS - 1)
    rung = rungs[np.abs(rung[:, None] - rungs).argmin(axis=1)]
    ratio = np.minimum(np.abs(np.log2(one / other)), HALVINGS)
    for number in np.unique(rung):
        here, known = rung == number, np.flatnonzero(found[number, :, 1])
        factor = found[number, known, 0] / found[number, known, 1] / (known + 1) ** 2
        result[here] = np.interp(ratio[here], known + 1, factor) * ratio[here] ** 2
    return result
