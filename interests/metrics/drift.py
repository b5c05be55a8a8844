"""How fast interests move (paper §2.1), and how much of that is sampling noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests.metrics.estimates import Estimate, ratio
from driftline.interests.metrics.moved import Crowds, Moved, moved
from driftline.interests.metrics.successors import RANKINGS, Ranking, Successors, jaccard
from driftline.interests.metrics.volume import Unevenness, expected, no_unevenness
from driftline.interests.pairs import pair_count

Floats = NDArray[np.float64]
MARGIN = 0.05
"""More than The Complete Journey (at most 2.1 %) and Online Retail II (at most 4.1 %) have in any of 20 cluster sets each."""
Ceilings = NDArray[np.float32]
"""[ways of halving, pairs]; there is one per window, so that half the bytes count."""


@dataclass(frozen=True)
class Lag:
    """One point of the lag curve. Intervals are over ordered pairs: a pair is resampled with all its windows. Pairs share users,
    so they are too narrow to say whether interests move; `moved` says that."""

    lag: int
    """Windows between the two that are compared."""
    window_pairs: int
    comparisons: int
    """(ordered pair, window, later window) with enough support in both halves of both windows, for some way of halving."""
    jaccard: Estimate
    """Whole window against whole window: the paper's number."""
    variance: float | None
    """Of the single Jaccard similarities behind `jaccard` (population variance)."""
    across: Estimate
    """Half of the users of one window against the other half of the later window."""
    ceiling: Estimate
    """One half against the other half of the same window, less what it costs to compare windows of unequal volume: what `across`
    would be if interests stood still."""
    drift: Estimate
    """ceiling − across, paired."""
    unevenness: float | None = None
    """Mean correction for unequal sample sizes. `ceiling` has it subtracted already; add it to get the uncorrected ceiling."""
    moved: Moved | None = None
    """By the shares of all successors, with users as units: what says whether interests move. None: a measurement of before
    there was one."""


@dataclass(frozen=True)
class Curve:
    ranking: Ranking
    lags: tuple[Lag, ...]


@dataclass(frozen=True)
class WindowFacts:
    """What is known of one window. `ceiling`: Jaccard similarity of two halves of this window's users, by `frequency`, over its
    supported pairs."""

    start: datetime
    end: datetime
    users: int
    triples: int
    pairs: int
    """Ordered pairs with enough support in both halves."""
    ceiling: Estimate


@dataclass(frozen=True)
class Drift:
    """Metric 1: a curve for raw frequency and one for lift, so that a change of popularity and one of affinity differ."""

    clusters: int
    top_k: int
    min_support: int
    """Occurrences that a pair needs in each half of both windows."""
    windows: tuple[WindowFacts, ...]
    curves: tuple[Curve, ...]
    missing: tuple[str, ...] = ()
    """What could not be measured: 'not enough data: n = …'."""
    margin: float = MARGIN
    """If less than this share has moved, it is too little to matter."""


@dataclass(frozen=True)
class Sampled:
    """One window: the top successors of all its users, and of two random halves of them, in one or several ways of halving.

    A user is in the same half in every window. The arrays may be memory-mapped.
    """

    start: datetime
    end: datetime
    users: int
    triples: int
    whole: Successors
    halves: tuple[tuple[Successors, Successors], ...]
    unevenness: Unevenness = field(default_factory=no_unevenness)
    """What it costs here to compare samples of unequal size."""
    crowds: Crowds | None = None
    """Counts by sixteenth of the users; None in lists of before there were any."""


def drift(
    windows: Sequence[Sampled], n_clusters: int, lags: Sequence[int], top_k: int, min_support: int, margin: float = MARGIN
) -> Drift:
    """The lag curve of the top-k Jaccard similarity and of its noise ceiling (paper §2.1).

    For two windows t and s = t + lag, a pair of clusters, halves A and B of the users, and J the Jaccard similarity of two of its
    top-k lists:

        jaccard = J(whole_t, whole_s)                        pairs with min_support in both windows
        across  = (J(A_t, B_s) + J(B_t, A_s)) / 2            pairs with min_support in all four halves
        ceiling = (J(A_t, B_t) + J(A_s, B_s)) / 2 − u        the same pairs
        drift   = ceiling − across

    `drift` is 0 on average where nothing moves: all four similarities compare different people, of samples of the same sizes.
    That is why it is not ceiling − jaccard. Whole windows are samples twice as large, which makes their lists steadier, and they
    hold the same people on both sides, whose habits repeat; both raise `jaccard`, so that ceiling − jaccard lies below 0 on a
    log without drift and hides a small one. u is what remains when the two windows differ in volume, so that a log that merely
    grows has no drift; it depends on the four supports and on what thinning does inside the windows (`interests.metrics.uneven`).
    Several ways of halving are averaged: which users happen to be in which half is the larger part of the noise.

    Where the lists hold every novel cluster, lists that are full are alike whatever moves: then no lag is compared.

    Args:
        windows: consecutive, oldest first; one without a triple counts as support 0 everywhere. None: `missing` says so.
        lags: in windows, each at least 1. A lag that no two windows are apart is left out and named in `missing`.
        top_k: the length of the lists.
        margin: share that must have moved to be large enough to matter; recorded with the result.

    Raises:
        BadInput: fewer than 3 clusters, a lag or support below 1, or lists of another cluster set or another length.
    """
    _check(windows, n_clusters, lags, top_k, min_support)
    lacks = None
    if not windows:
        lacks = "not enough data: n = 0 whole windows; shorten them with measures.window_days"
    elif n_clusters - 2 <= top_k:
        lacks = (
            f"top-{top_k} lists: not enough data: n = {n_clusters - 2} novel clusters per pair, and the lists hold them all; "
            "lower measures.top_k"
        )
    if lacks:
        facts = [_facts(window, _ceilings(window, "frequency", min_support)) for window in windows]
        empty = tuple(Curve(ranking, ()) for ranking in RANKINGS)
        return Drift(n_clusters, top_k, min_support, tuple(facts), empty, (lacks,), margin)
    possible = [lag for lag in lags if lag < len(windows)]
    missing = [f"lag {lag}: not enough data: n = {len(windows)} windows" for lag in lags if lag not in possible]
    curves, facts, crowds = [], [], [window.crowds for window in windows if window.crowds is not None]
    shares = {lag: moved(crowds, lag, min_support) if len(crowds) == len(windows) else None for lag in possible}
    for ranking in RANKINGS:
        inside = [_ceilings(window, ranking, min_support) for window in windows]
        uneven = np.sum([window.unevenness[ranking] for window in windows], axis=0)
        points = (_lag(windows, lag, ranking, inside, uneven, min_support) for lag in possible)
        found = tuple(replace(point, moved=of[ranking] if (of := shares[point.lag]) else None) for point in points)
        curves.append(Curve(ranking, found))
        if ranking == "frequency":
            facts = [_facts(window, ceilings) for window, ceilings in zip(windows, inside, strict=True)]
    missing += [
        f"lag {point.lag}: not enough data: n = 0 pairs with {min_support} occurrences in both halves of two windows"
        for point in curves[0].lags
        if not point.comparisons
    ]
    return Drift(n_clusters, top_k, min_support, tuple(facts), tuple(curves), tuple(missing), margin)


def _check(windows: Sequence[Sampled], n_clusters: int, lags: Sequence[int], top_k: int, min_support: int) -> None:
    if n_clusters < 3:
        raise BadInput(f"{n_clusters} clusters leave no novel one for any pair: use 3 or more")
    if min([*lags, top_k, min_support], default=1) < 1:
        raise BadInput("measures.lags, measures.top_k and measures.min_support must be 1 or more")
    for window in windows:
        if not window.halves or len(window.halves) != len(windows[0].halves):
            raise BadInput("every window needs halves, made in the same ways")
        for sample in (window.whole, *(half for halves in window.halves for half in halves)):
            pairs, k = sample.top["frequency"].shape
            if pairs != pair_count(n_clusters):
                raise BadInput(f"lists of {pairs} pairs are not of {n_clusters} clusters: list them with the same cluster set")
            if k != top_k:
                raise BadInput(f"lists of {k} successors cannot be compared as top-{top_k}: list them with measures.top_k")


def _ceilings(window: Sampled, ranking: Ranking, min_support: int) -> Ceilings:
    """J(A, B), NaN for pairs without support in both halves."""
    ceilings = np.full((len(window.halves), len(window.whole.support)), np.nan, dtype=np.float32)
    for way, (a, b) in enumerate(window.halves):
        there = np.flatnonzero(np.minimum(a.support, b.support) >= min_support)
        ceilings[way, there] = _similar(a, b, ranking, there)
    return ceilings


def _facts(window: Sampled, ceilings: Ceilings) -> WindowFacts:
    known = (~np.isnan(ceilings)).sum(axis=0)
    ceiling = ratio(np.nansum(ceilings, axis=0), known)
    return WindowFacts(window.start, window.end, window.users, window.triples, ceiling.n, ceiling)


def _lag(
    windows: Sequence[Sampled], lag: int, ranking: Ranking, ceilings: list[Ceilings], uneven: Floats, min_support: int
) -> Lag:
    """Per pair the sums over all pairs of windows, and how many there were: a ratio over pairs."""
    ways, pairs = ceilings[0].shape
    whole, wholes, across, inside_sum, uneven_sum, compared = (np.zeros(pairs) for _ in range(6))
    squares, comparisons = 0.0, 0
    for t, (one, other) in enumerate(zip(windows, windows[lag:], strict=False)):
        there = np.flatnonzero(np.minimum(one.whole.support, other.whole.support) >= min_support)
        similar = _similar(one.whole, other.whole, ranking, there)
        whole[there] += similar
        wholes[there] += 1
        squares += float((similar**2).sum())

        inside = (ceilings[t] + ceilings[t + lag]) / 2
        comparisons += int((~np.isnan(inside)).any(axis=0).sum())
        for way in range(ways):
            there = np.flatnonzero(~np.isnan(inside[way]))
            (a_one, b_one), (a_other, b_other) = one.halves[way], other.halves[way]
            across[there] += _similar(a_one, b_other, ranking, there) / 2
            across[there] += _similar(b_one, a_other, ranking, there) / 2
            inside_sum[there] += inside[way, there]
            uneven_sum[there] += _unevenness(one.halves[way], other.halves[way], there, uneven)
            compared[there] += 1
    n, ceiling, of_halves = wholes.sum(), inside_sum - uneven_sum, compared.sum()
    return Lag(
        lag=lag,
        window_pairs=len(windows) - lag,
        comparisons=comparisons,
        jaccard=ratio(whole, wholes),
        variance=max(squares / n - (whole.sum() / n) ** 2, 0.0) if n else None,
        across=ratio(across, compared),
        ceiling=ratio(ceiling, compared),
        drift=ratio(ceiling - across, compared),
        unevenness=float(uneven_sum.sum() / of_halves) if of_halves else None,
    )


def _similar(one: Successors, other: Successors, ranking: Ranking, there: NDArray[np.intp]) -> Floats:
    return jaccard(one.top[ranking][there], other.top[ranking][there])


def _unevenness(
    one: tuple[Successors, Successors], other: tuple[Successors, Successors], there: NDArray[np.intp], uneven: Floats
) -> Floats:
    """u: what unequal sizes cost the two similarities of `across`, less what they cost those of the ceiling."""
    a_one, b_one, a_other, b_other = (half.support[there] for half in (*one, *other))
    across = expected(uneven, a_one, b_other) + expected(uneven, b_one, a_other)
    inside = expected(uneven, a_one, b_one) + expected(uneven, a_other, b_other)
    return (across - inside) / 2
