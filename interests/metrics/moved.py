"""Whether interests have moved beyond what users differ by, and how much of what is known of them has.

Users are the units. Their sixteenths share nobody, so what two sixteenths agree on is no chance of either: inner products between
different ones are free of noise on average, whatever the number of occurrences.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from driftline.interests.metrics.estimates import CONFIDENCE, Estimate
from driftline.interests.metrics.successors import RANKINGS, Ranking
from driftline.interests.pairs import Ints, pair_count, pairs_of
from driftline.interests.triples import Triples

SIXTEENTHS = 16
PAIRS = 30_000
"""Of more ordered pairs than this, so many are compared: the same in every window."""
CELLS = 4_000_000
"""Sixteenths times pairs times clusters that are held at once, in float64."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crowds:
    """Occurrences in one window by sixteenth of the users. The arrays may be memory-mapped.

    Attributes:
        pair, c_next: int32 [rows], each triple of a pair that is compared once, by pair.
        n: int32 [sixteenths, rows].
        popularity: int64 [clusters]: n(·, ·, c) of the whole window, of all pairs.
    """

    pair: NDArray[np.int32]
    c_next: NDArray[np.int32]
    n: NDArray[np.int32]
    popularity: Ints


@dataclass(frozen=True)
class Moved:
    share: Estimate
    """Of the squared distance of a pair's successors from a uniform choice, what is not the same in the later window. The
    interval is a jackknife over the sixteenths of the users."""
    p: float
    """Chance of as large a distance where nothing moves: signs of the sixteenths' own changes are drawn."""


NOTHING = Moved(Estimate(None, None, None, 0), 1.0)


def compared(n_clusters: int) -> NDArray[np.bool_]:
    """Which ordered pairs are compared, by number: all, or `PAIRS` by hash."""
    found = np.ones(pair_count(n_clusters), dtype=bool)
    if len(found) > PAIRS:
        number = np.arange(len(found))
        none = np.zeros_like(number)
        order = np.argsort(Triples(number, none, none, none).tie_break(), kind="stable")
        found[order[PAIRS:]] = False
    return found


def moved(windows: Sequence[Crowds], lag: int, min_support: int) -> Mapping[Ranking, Moved]:
    """Compares all windows that are `lag` apart.

    With x the successors' shares of a pair, and h the harmonic mean of its occurrences in both windows:

        distance  = Σ h·|x_t − x_s|²                           noise taken out, all pairs with min_support in both windows
        structure = Σ h·(|x_t − u|² + |x_s − u|²)              u uniform over the novel clusters
        share     = distance / structure

    By lift, x is less what the clusters' popularity in its window explains; the structure is the same, so that both shares are of
    one whole.

    Returns:
        `share.value` is None where fewer than three sixteenths have a triple, no pair has support in two windows, or successors
        are not to be told from a uniform choice.
    """
    size = len(windows[0].popularity) if windows else 0
    sums = {ranking: _Sums() for ranking in RANKINGS}
    for one, other in zip(windows, windows[lag:], strict=False):
        for a, b, novel in _blocks(one, other, size, min_support):
            popular = [_shares(novel * window.popularity) for window in (one, other)]
            uniform = _shares(novel)
            _add(sums, a, b, uniform, {"frequency": (uniform, uniform), "lift": (popular[0], popular[1])})
    used = sorted({int(g) for window in windows for g in np.flatnonzero(window.n.any(axis=1))})
    if len(used) < 3 or any(found.structure[0] <= 0 for found in sums.values()):
        return dict.fromkeys(RANKINGS, NOTHING)
    return {ranking: found.result(used) for ranking, found in sums.items()}


class _Sums:
    """Sums over pairs of windows; the first entry is of all users, the others lack one sixteenth each."""

    def __init__(self) -> None:
        self.distance = np.zeros(SIXTEENTHS + 1)
        self.structure = np.zeros(SIXTEENTHS + 1)
        self.together = np.zeros((SIXTEENTHS, SIXTEENTHS))
        """Inner products of the sixteenths' own changes."""

    def result(self, used: list[int]) -> Moved:
        value = float(self.distance[0] / self.structure[0])
        n = len(used)
        without = self.distance[1:][used] / self.structure[1:][used]
        error = float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
        wide = error * -float(stdtrit(n - 1, (1 - CONFIDENCE) / 2))
        return Moved(Estimate(value, value - wide, value + wide, n), self._chance())

    def _chance(self) -> float:
        signs = np.ones((1 << (SIXTEENTHS - 1), SIXTEENTHS))
        numbers = np.arange(len(signs))
        for place in range(SIXTEENTHS - 1):
            signs[:, place] -= 2 * (numbers >> place & 1)
        drawn = ((signs @ self.together) * signs).sum(axis=1) - np.trace(self.together)
        return max(float((drawn >= self.distance[0]).mean()), 1 / len(signs))


def _blocks(one: Crowds, other: Crowds, size: int, min_support: int) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Occurrences [sixteenths, pairs, |C|] in both windows, of some of the pairs with support in both, and [pairs, |C|]: 1 where
    a cluster is novel to the pair, else 0."""
    total = [np.bincount(window.pair, window.n.sum(axis=0), pair_count(size)) for window in (one, other)]
    there = np.flatnonzero(np.minimum(*total) >= min_support)
    for part in np.array_split(there, -(-len(there) * SIXTEENTHS * size // CELLS) or 1):
        if not len(part):
            continue
        novel = np.ones((len(part), size))
        for cluster in pairs_of(part, size):
            novel[np.arange(len(part)), cluster] = 0
        yield _dense(one, part, size), _dense(other, part, size), novel


def _dense(window: Crowds, pairs: Ints, size: int) -> Floats:
    begin, end = np.searchsorted(window.pair, [pairs[0], pairs[-1] + 1])
    rows = begin + np.flatnonzero(np.isin(window.pair[begin:end], pairs))
    found = np.zeros((SIXTEENTHS, len(pairs), size))
    found[:, np.searchsorted(pairs, window.pair[rows]), window.c_next[rows]] = window.n[:, rows]
    return found


def _shares(weight: Floats) -> Floats:
    """Rows that sum to 1; a row without any weight stays 0."""
    total = weight.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    return shares


def _add(
    sums: Mapping[Ranking, _Sums], a: Floats, b: Floats, uniform: Floats, bases: Mapping[Ranking, tuple[Floats, Floats]]
) -> None:
    """Adds a block of pairs to the sums. `bases`: what is taken from either window's shares before they are compared, [pairs,
    |C|]."""
    size_a, size_b = a.sum(axis=(0, 2)), b.sum(axis=(0, 2))
    h = size_a * size_b / (size_a + size_b)
    x, y = a / size_a[:, None], b / size_b[:, None]
    p, q = x.sum(axis=2), y.sum(axis=2)  # the sixteenths' shares of the pair
    pp, qq, pq = (_between(one[..., None], other[..., None]) for one, other in ((p, p), (q, q), (p, q)))
    weight = h * (pp + qq + 2 * pq)[0] / 4  # little where one sixteenth has most of a pair

    def free(one: Floats, other: Floats, of: Floats) -> Floats:
        inner = _between(one, other)
        return np.divide(inner, of, out=np.zeros_like(inner), where=of > 1e-9)

    near, far = x - p[..., None] * uniform, y - q[..., None] * uniform
    structure = (free(near, near, pp) + free(far, far, qq)) @ weight
    for ranking, base in bases.items():
        left, right = x - p[..., None] * base[0], y - q[..., None] * base[1]
        found = sums[ranking]
        found.distance += (free(left, left, pp) + free(right, right, qq) - 2 * free(left, right, pq)) @ weight
        found.structure += structure
        mean = (left.sum(axis=0) * size_a[:, None] + right.sum(axis=0) * size_b[:, None]) / (size_a + size_b)[:, None]
        change = ((left - right) - (p - q)[..., None] * mean) * np.sqrt(h)[:, None]
        change = change.reshape(SIXTEENTHS, -1)
        found.together += change @ change.T


def _between(one: Floats, other: Floats) -> Floats:
    """Σ over different sixteenths of their inner products, [1 + sixteenths, pairs]: of all, and without each."""
    own = np.einsum("gpc,gpc->gp", one, other)
    first = np.einsum("gpc,pc->gp", one, other.sum(axis=0))
    second = np.einsum("pc,gpc->gp", one.sum(axis=0), other)
    everything = first.sum(axis=0) - own.sum(axis=0)
    without: Floats = everything - first - second + 2 * own
    return np.concatenate([everything[None], without])
