"""Drift against an example by hand, and on made-up users of whom it is known whether their interests move."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from driftline.interests.metrics.drift import Drift, Lag, Sampled, drift
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.successors import top_successors
from driftline.interests.metrics.volume import add_unevenness, no_unevenness
from driftline.interests.pairs import pairs
from driftline.interests.triples import Triples
from tests.interests.tables import Counts, table

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
Dense = NDArray[np.int64]
"""Occurrences, [pairs, clusters]."""


def window(a: Counts, b: Counts, n_clusters: int, k: int) -> Sampled:
    both = {triple: a.get(triple, 0) + b.get(triple, 0) for triple in sorted({*a, *b})}
    whole, half_a, half_b = (top_successors(table(counts), n_clusters, k) for counts in (both, a, b))
    return Sampled(START, END, 10, sum(both.values()), whole, ((half_a, half_b),))


def only(found: Drift, ranking: int = 0) -> Lag:
    (point,) = found.curves[ranking].lags
    return point


def test_by_hand() -> None:
    """The pair (0, 1), top 2. Halves of t: {2, 3} and {4, 2}; of s: {4, 5} twice. Wholes: {2, 4} and {4, 5}.

    ceiling = (1/3 + 1) / 2, across = (0 + 1/3) / 2.
    """
    t = window({(0, 1, 2): 3, (0, 1, 3): 2}, {(0, 1, 4): 3, (0, 1, 2): 2}, 6, 2)
    s = window({(0, 1, 4): 3, (0, 1, 5): 2}, {(0, 1, 4): 3, (0, 1, 5): 2}, 6, 2)
    found = drift([t, s], 6, [1], 2, 5)
    point = only(found)

    assert (point.lag, point.window_pairs, point.comparisons, point.variance) == (1, 1, 1, 0.0)
    assert point.jaccard == Estimate(pytest.approx(1 / 3), None, None, 1)  # type: ignore[arg-type]
    assert point.ceiling.value == pytest.approx(2 / 3)
    assert point.across.value == pytest.approx(1 / 6)
    assert point.drift.value == pytest.approx(1 / 2)
    assert [(facts.pairs, facts.ceiling.value) for facts in found.windows] == [(1, pytest.approx(1 / 3)), (1, 1.0)]
    assert found.missing == ()


def test_mean_and_variance_are_over_pairs_and_windows() -> None:
    """Top 1 of two pairs in three windows: (0, 1) keeps its successor, (1, 0) changes it once. Of 4 similarities 3 are 1."""
    before = window({}, {(0, 1, 2): 5, (1, 0, 2): 5}, 5, 1)
    after = window({}, {(0, 1, 2): 5, (1, 0, 3): 5}, 5, 1)
    point = only(drift([before, after, after], 5, [1], 1, 5))

    assert (point.jaccard.value, point.jaccard.n) == (0.75, 2)
    assert point.variance == pytest.approx(0.75 * 0.25)
    assert (point.comparisons, point.drift.value) == (0, None)


def test_support_is_needed_in_every_sample_that_is_compared() -> None:
    often, seldom = {(0, 1, 2): 5}, {(0, 1, 2): 4}
    for halves in ((often, seldom), (seldom, often)):
        found = drift([window(often, often, 5, 2), window(*halves, 5, 2)], 5, [1], 2, 5)
        assert (only(found).comparisons, only(found).jaccard.n) == (0, 1)
        assert [facts.pairs for facts in found.windows] == [1, 0]
        assert found.missing == ("lag 1: not enough data: n = 0 pairs with 5 occurrences in both halves of two windows",)
    assert only(drift([window(often, often, 5, 2)] * 2, 5, [1], 2, 5)).comparisons == 1


def test_lags_that_the_log_is_too_short_for_are_named() -> None:
    found = drift([window({}, {}, 8, 2)] * 3, 8, [1, 2, 3, 12], 2, 5)

    assert [point.lag for point in found.curves[0].lags] == [1, 2]
    assert found.missing[:2] == ("lag 3: not enough data: n = 3 windows", "lag 12: not enough data: n = 3 windows")


def test_a_silent_window_is_a_window() -> None:
    often = {(0, 1, 2): 5}
    found = drift([window(often, often, 5, 2), window({}, {}, 5, 2), window(often, often, 5, 2)], 5, [1, 2], 2, 5)
    one, two = found.curves[0].lags

    assert (one.comparisons, one.jaccard.value, one.variance) == (0, None, None)
    assert (two.comparisons, two.jaccard.value, two.drift.value) == (1, 1.0, 0.0)
    assert [facts.ceiling.value for facts in found.windows] == [1.0, None, 1.0]


def test_lists_that_hold_every_novel_cluster_say_nothing() -> None:
    """Drift would be 0 with an interval of [0, 0], whatever moves."""
    often = {(0, 1, 2): 5}
    found = drift([window(often, often, 3, 5)] * 2, 3, [1, 6], 5, 5)

    assert [(curve.ranking, curve.lags) for curve in found.curves] == [("frequency", ()), ("lift", ())]
    assert [facts.triples for facts in found.windows] == [10, 10]
    assert found.missing == (
        "top-5 lists: not enough data: n = 1 novel clusters per pair, and the lists hold them all; lower measures.top_k",
    )


def test_one_novel_cluster_more_than_the_lists_hold_is_compared() -> None:
    often = {(0, 1, 2): 5}

    assert only(drift([window(often, often, 4, 1)] * 2, 4, [1], 1, 5)).drift.value == 0.0
    assert drift([window(often, often, 4, 2)] * 2, 4, [1], 2, 5).curves[0].lags == ()


def test_no_window_is_no_error() -> None:
    found = drift([], 8, [1, 2], 2, 5)

    assert (found.windows, [curve.lags for curve in found.curves]) == ((), [(), ()])
    assert found.missing == ("not enough data: n = 0 whole windows; shorten them with measures.window_days",)


def test_the_correction_is_given_beside_the_ceiling() -> None:
    """u is what `ceiling` lacks of the mean of the halves' similarities; 0 without a record of what thinning does."""
    windows = simulated([0.6, 2.4], 0)
    corrected = only(drift(windows, CLUSTERS, [1], TOP, 5))
    bare = only(drift([replace(window, unevenness=no_unevenness()) for window in windows], CLUSTERS, [1], TOP, 5))

    assert bare.unevenness == 0
    assert corrected.unevenness is not None
    assert corrected.unevenness > 0
    assert (corrected.ceiling.value or 0) + corrected.unevenness == pytest.approx(bare.ceiling.value)
    assert only(drift([window({}, {}, 8, 2)] * 2, 8, [1], 2, 5)).unevenness is None


def test_what_cannot_be_measured_is_refused() -> None:
    some = window({}, {}, 4, 2)
    with pytest.raises(ValueError, match="2 clusters leave no novel one"):
        drift([some], 2, [1], 2, 5)
    with pytest.raises(ValueError, match="must be 1 or more"):
        drift([some], 4, [0], 2, 5)
    with pytest.raises(ValueError, match="lists of 12 pairs are not of 5 clusters"):
        drift([some], 5, [1], 2, 5)
    with pytest.raises(ValueError, match="lists of 2 successors cannot be compared as top-3"):
        drift([some], 4, [1], 3, 5)
    with pytest.raises(ValueError, match="needs halves"):
        drift([replace(some, halves=())], 4, [1], 2, 5)


CLUSTERS, USERS, TOP = 14, 24, 5


def simulated(volumes: list[float], moves: float, seed: int = 0) -> list[Sampled]:
    """Users with tastes of their own that they keep; everybody's interests move by `moves` per window, on a log scale."""
    rng = np.random.default_rng(seed)
    c1, c2 = pairs(CLUSTERS)
    novel = np.ones((len(c1), CLUSTERS), dtype=bool)
    novel[np.arange(len(c1)), c1] = novel[np.arange(len(c1)), c2] = False
    interest = rng.normal(size=novel.shape)
    taste = rng.normal(scale=0.7, size=(USERS, *novel.shape))
    activity = rng.uniform(0.4, 2.5, size=len(c1))
    windows = []
    for volume in volumes:
        halves: list[Dense] = [np.zeros(novel.shape, dtype=np.int64) for _ in range(2)]
        for user in range(USERS):
            likely = np.where(novel, np.exp(interest + taste[user]), 0)
            n = rng.poisson(volume * activity)
            halves[user % 2] += rng.multinomial(n, likely / likely.sum(axis=1, keepdims=True))
        windows.append(halved(halves[0], halves[1]))
        interest = interest + rng.normal(scale=moves, size=novel.shape)
    return windows


def halved(a: Dense, b: Dense) -> Sampled:
    row, c_next = np.nonzero(a + b)
    c1, c2 = (column[row] for column in pairs(CLUSTERS))
    n_a, n_b = a[row, c_next], b[row, c_next]
    unevenness = no_unevenness()
    add_unevenness(
        unevenness,
        Triples(c1, c2, c_next, n_a),
        Triples(c1, c2, c_next, n_b),
        (a.sum(axis=0), b.sum(axis=0)),
        TOP,
        CLUSTERS,
        np.random.default_rng(0),
    )
    whole, half_a, half_b = (top_successors(_table(c1, c2, c_next, n), CLUSTERS, TOP) for n in (n_a + n_b, n_a, n_b))
    return Sampled(START, END, USERS, int((n_a + n_b).sum()), whole, ((half_a, half_b),), unevenness)


def _table(c1: Dense, c2: Dense, c_next: Dense, n: Dense) -> pa.Table:
    return pa.table({"c1": c1, "c2": c2, "c_next": c_next, "n": n}).filter(pa.array(n > 0))


def test_no_drift_is_found_where_there_is_none() -> None:
    """In ten logs: 0 on average, and about one interval in twenty leaves 0 out by chance.

    Each whole window agrees with the next better than its halves do, so ceiling − jaccard would be no measure of drift.
    """
    found = [drift(simulated([1.0] * 8, 0, seed), CLUSTERS, [1, 3], TOP, 5) for seed in range(10)]
    points = np.array([[list(curve.lags) for curve in one.curves] for one in found])

    drifts = np.vectorize(lambda point: point.drift.value)(points)
    assert np.abs(drifts.mean(axis=0)).max() < 0.006
    assert np.vectorize(lambda point: point.drift.differs)(points).mean() < 0.2
    assert np.vectorize(lambda point: point.comparisons)(points).min() > 250
    assert np.vectorize(lambda point: point.ceiling.value - point.jaccard.value)(points).max() < -0.03


def test_a_log_that_only_grows_has_no_drift() -> None:
    """Sixfold in eight windows, in ten logs. Without the correction for unequal samples they would seem to drift."""
    corrected, uncorrected = [], []
    for seed in range(10):
        windows = simulated([0.6 * 6 ** (t / 7) for t in range(8)], 0, seed)
        corrected.append(only(drift(windows, CLUSTERS, [6], TOP, 5)).drift.value or 0)
        bare = [replace(window, unevenness=no_unevenness()) for window in windows]
        uncorrected.append(only(drift(bare, CLUSTERS, [6], TOP, 5)).drift.value or 0)

    assert abs(np.mean(corrected)) < 0.01
    assert np.mean(uncorrected) > 0.015


def test_drift_is_found_and_grows_with_the_lag() -> None:
    found = drift(simulated([1.0] * 8, 0.3), CLUSTERS, [1, 3, 6], TOP, 5)
    for curve in found.curves:
        one, three, six = (point.drift for point in curve.lags)
        assert three.low is not None
        assert three.low > 0
        assert (one.value or 0) < (three.value or 0) < (six.value or 0)
