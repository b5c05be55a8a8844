"""Worked examples: what the formulas come to, and what has no answer."""

import numpy as np
import pytest
from scipy.stats import norm

from driftline.interests.experiments.difference import before, relative_difference
from driftline.interests.experiments.intervals import always_valid, fieller, fixed, intervals
from driftline.interests.experiments.moments import Moments, moments_of
from driftline.interests.experiments.power import detectable


def metric(*values: float) -> Moments:
    """Of users with these values, nothing before, per user."""
    rows = np.array(values, dtype=float)
    return moments_of(np.stack([rows, np.ones_like(rows), np.zeros_like(rows), np.ones_like(rows)], axis=-1))


def test_by_hand() -> None:
    """Means 2 and 3, variances 1 each, three users each: 50 % more; variance 1/(3·4) + 1·9/(3·16)."""
    found = relative_difference(metric(1, 2, 3), metric(2, 3, 4))
    assert float(found.value) == pytest.approx(0.5)
    assert float(found.variance) == pytest.approx(1 / 12 + 9 / 48)
    assert float(found.freedom) == pytest.approx(4)
    assert float(found.theta) == 0


def test_a_ratio_weighs_users_by_what_they_were_shown() -> None:
    rows = np.array([[1, 2, 0, 1], [9, 10, 0, 1]], dtype=float)
    found = relative_difference(moments_of(rows), moments_of(rows * [2, 1, 1, 1]))
    assert float(found.control) == pytest.approx(10 / 12)
    assert float(found.value) == pytest.approx(1.0)


def test_days_and_shards_of_users_add_up() -> None:
    both = metric(1, 2, 5) + metric(7, 11)
    whole = metric(1, 2, 5, 7, 11)
    np.testing.assert_allclose(both.covariance, whole.covariance)


def test_more_of_a_negative_metric_is_up() -> None:
    found = relative_difference(metric(-4, -5, -6), metric(-2, -3, -1))
    assert float(found.value) == pytest.approx(0.6)
    ends = intervals(found, np.asarray(2.0))
    assert float(ends.low) < 0.6 < float(ends.high)


def test_nothing_to_divide_is_no_number() -> None:
    none, one = relative_difference(metric(0, 0), metric(1, 2)), relative_difference(metric(1), metric(1, 2))
    assert not np.isfinite(none.value)
    for found in (none, one):
        ends = intervals(found, fixed(found))
        assert not np.isfinite(ends.low)
        assert not np.isfinite(ends.high)


def test_fieller_agrees_with_delta_where_control_is_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    for adjust in (False, True):
        taste = rng.gamma(3, 1, (2, 20_000))
        rows = np.stack([rng.poisson(taste), np.ones_like(taste), rng.poisson(taste), np.ones_like(taste)], axis=-1).astype(float)
        found = relative_difference(moments_of(rows[0]), moments_of(rows[1]), adjust)
        low, high = fieller(found, np.asarray(1.96))
        width = 1.96 * float(found.variance) ** 0.5
        assert float(low) == pytest.approx(float(found.value) - width, abs=0.02 * width)
        assert float(high) == pytest.approx(float(found.value) + width, abs=0.02 * width)


def test_always_valid_is_wider_and_narrowest_near_the_plan() -> None:
    users = np.array([100.0, 1000.0, 10_000.0, 100_000.0])
    wide = always_valid(users, planned=1000)
    assert (wide > norm.isf(0.025)).all()
    assert wide.argmin() in (1, 2)
    assert (np.diff(wide / np.sqrt(users)) < 0).all()  # more users, a narrower interval


def test_the_days_before_take_the_place_of_the_experiments() -> None:
    rows = np.array([[1, 2, 3, 4], [5, 7, 11, 13]], dtype=float)
    np.testing.assert_allclose(before(moments_of(rows)).products, moments_of(rows[:, [2, 3, 0, 1]]).products)


def test_an_effect_of_the_detectable_size_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(6)
    users, share = 2000, 0.25

    def arm(count: int, lift: float) -> Moments:
        now = rng.poisson(rng.gamma(2, 1, (1000, count)) * (1 + lift)).astype(float)
        return Moments(np.full(1000, float(count)), _sums(now), _products(now))

    size = float(np.median(detectable(arm(users, 0), 1 - share, share)))
    found = relative_difference(arm(1500, 0), arm(500, size))
    ends = intervals(found, fixed(found))
    assert 0.78 <= (ends.low > 0).mean() <= 0.86
    assert (detectable(arm(users, 0), 1 - share, share, sequential=users) > size).all()


def _sums(now: np.ndarray) -> np.ndarray:
    n = np.full(len(now), float(now.shape[1]))
    return np.stack([now.sum(axis=1), n, 0 * n, n], axis=-1)


def _products(now: np.ndarray) -> np.ndarray:
    made = np.zeros((len(now), 4, 4))
    n, x = float(now.shape[1]), now.sum(axis=1)
    made[:, 0, 0] = (now**2).sum(axis=1)
    for a, b, value in ((0, 1, x), (0, 3, x), (1, 1, n), (1, 3, n), (3, 3, n)):
        made[:, a, b] = made[:, b, a] = value
    return made
