"""Intervals against a bootstrap worked in full, SciPy's, and the truth they are to cover."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from driftline.interests.metrics.estimates import GROUPS, Estimate, mean, ratio


def test_ratio_by_hand() -> None:
    """3 of 4 occurrences of one user and 1 of 6 of another: 4 of 10. A quarter of the draws are twice the first, or the other."""
    found = ratio([3, 1], [4, 6])

    assert (found.value, found.n) == (0.4, 2)
    assert found.low == pytest.approx(1 / 6)
    assert found.high == pytest.approx(3 / 4)


def test_an_interval_of_few_units_decides_nothing() -> None:
    """Of two to nine units the interval leaves out the truth far too often."""
    assert not ratio([3, 1], [4, 6]).differs
    assert not mean([0.4, 0.6] * 4 + [0.5]).differs
    assert mean([0.4, 0.6] * 5).differs
    assert mean([-0.4, -0.6] * 5).differs
    assert not mean([-0.4, 0.6] * 5).differs


def test_above_needs_intervals_that_do_not_meet_and_units_of_both() -> None:
    low, high = Estimate(0.1, 0.0, 0.2, 10), Estimate(0.4, 0.3, 0.5, 10)

    assert high.above(low)
    assert not low.above(high)
    assert not high.above(Estimate(0.1, 0.0, 0.3, 10))
    assert not high.above(replace(low, n=9))
    assert not replace(high, n=9).above(low)
    assert not high.above(Estimate(None, None, None, 0))


def test_units_without_a_denominator_count_for_nothing() -> None:
    assert ratio([3, 0, 1, 0], [4, 0, 6, 0]) == ratio([3, 1], [4, 6])


def test_too_few_units_are_none_not_nan() -> None:
    assert ratio([], []) == Estimate(None, None, None, 0)
    assert ratio([0, 0], [0, 0]) == Estimate(None, None, None, 0)
    assert ratio([1], [4]) == Estimate(0.25, None, None, 1)
    assert not ratio([1], [4]).differs
    assert mean([np.nan, np.nan]) == Estimate(None, None, None, 0)


def test_mean_leaves_nan_out() -> None:
    assert mean([1.0, np.nan, 3.0]).value == 2.0
    assert mean([1.0, np.nan, 3.0]).n == 2


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).normal(size=50)

    assert mean(values) == mean(values)
    assert mean(values, seed=1).low != mean(values).low


def test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    seen = rng.integers(1, 20, size=80)
    hits = rng.binomial(seen, 0.3)
    found = ratio(hits, seen)
    theirs = bootstrap(
        (hits, seen), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, method="percentile", n_resamples=5000, rng=rng
    ).confidence_interval

    assert found.low == pytest.approx(theirs.low, abs=0.005)
    assert found.high == pytest.approx(theirs.high, abs=0.005)


def test_covers_the_truth_as_often_as_it_says() -> None:
    """Users with between 1 and 9 occurrences, each with a rate of its own around 0.3: 400 logs of 60 users."""
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(400):
        seen = rng.integers(1, 10, size=60)
        found = ratio(rng.binomial(seen, rng.beta(3, 7, size=60)), seen, seed=seed)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high

    assert 0.91 <= covered / 400 <= 0.97


def test_many_units_are_resampled_in_groups_with_the_same_width() -> None:
    """The standard error of a mean of n values of deviation 1 is 1 / √n, however they are grouped."""
    n = 25 * GROUPS + 7
    found = mean(np.random.default_rng(3).normal(size=n))

    assert found.n == n
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(n), rel=0.1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_the_interval_holds_the_value(units: list[tuple[int, int]]) -> None:
    found = ratio([a for a, _ in units], [b for _, b in units])
    assert found.n == sum(b > 0 for _, b in units)
    if found.n > 1:
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high


def test_what_is_no_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the shapes \(2,\), \(1,\)"):
        ratio([1, 2], [1])
    with pytest.raises(ValueError, match="finite numerators and denominators of 0 or more"):
        ratio([1, np.nan], [1, 1])
    with pytest.raises(ValueError, match="finite numerators and denominators of 0 or more"):
        ratio([1, 1], [1, -1])
