"""95 % is 95 %: of 2,000 experiments whose truth is known, so many intervals hold it, give or take one in a hundred."""

from dataclasses import dataclass

import numpy as np
import pytest

from driftline.interests.experiments.difference import RelativeDifference, relative_difference
from driftline.interests.experiments.intervals import always_valid, fixed, intervals
from driftline.interests.experiments.moments import Moments, moments_of
from driftline.interests.experiments.p_values import always_valid_p, mismatch_p

EXPERIMENTS = 2000


def users(rng: np.random.Generator, count: int, lift: float, shown: bool = False, days: int = 1) -> np.ndarray:
    """[experiments, days, users, 4]: counts of unlike users. Without `shown` the denominators are 1."""
    size = (EXPERIMENTS, days, count)
    taste = rng.gamma(2.0, 1.0, size)
    views = 1.0 + rng.poisson(2 * taste) if shown else np.ones(size)
    now = rng.poisson(0.5 * taste * (1 + lift) * views).astype(float)
    return np.stack([now, views, rng.poisson(0.5 * taste).astype(float), np.ones(size)], axis=-1)


def arms(seed: int, lift: float, shown: bool = False, count: int = 500) -> tuple[Moments, Moments]:
    rng = np.random.default_rng(seed)
    return moments_of(users(rng, count, 0.0, shown)[:, 0]), moments_of(users(rng, count // 2, lift, shown)[:, 0])


def covered(found: RelativeDifference, truth: float) -> float:
    ends = intervals(found, fixed(found))
    return float(((ends.low <= truth) & (truth <= ends.high)).mean())


@pytest.mark.parametrize("lift", [0.0, 0.1])
@pytest.mark.parametrize("adjust", [False, True], ids=["plain", "cuped"])
@pytest.mark.parametrize("shown", [False, True], ids=["mean", "ratio"])
def test_intervals_hold_the_truth(lift: float, adjust: bool, shown: bool) -> None:
    found = relative_difference(*arms(7, lift, shown), adjust=adjust)
    assert covered(found, lift) == pytest.approx(0.95, abs=0.01)


def test_the_days_before_make_intervals_narrower_and_move_nothing() -> None:
    control, treatment = arms(1, 0.1)
    plain, adjusted = relative_difference(control, treatment), relative_difference(control, treatment, adjust=True)
    assert (adjusted.variance < plain.variance).mean() > 0.99
    assert adjusted.value.mean() == pytest.approx(plain.value.mean(), abs=0.005)
    assert adjusted.reduction.mean() == pytest.approx(1 - adjusted.variance.mean() / plain.variance.mean(), abs=0.02)


def test_taking_a_ratio_for_independent_rows_would_not_hold_the_truth() -> None:
    """What the covariance is for: users' rates differ, so that rows of one user say less than as many of others."""
    control, treatment = arms(2, 0.0, shown=True)
    found = relative_difference(control, treatment)
    rate, rows = found.control, control.sums[..., 1]
    naive = np.sqrt(rate / rows + found.treatment / treatment.sums[..., 1]) / rate
    assert (np.abs(found.value) <= 1.96 * naive).mean() < 0.85
    assert covered(found, 0.0) > 0.93


@dataclass(frozen=True, eq=False)
class Peeked:
    """[experiments, days], of experiments that are looked at every day."""

    found: RelativeDifference


@pytest.fixture(scope="module")
def peeked() -> Peeked:
    return watched(0.0)


def watched(lift: float) -> Peeked:
    rng = np.random.default_rng(3)
    grown = []
    for effect in (0.0, lift):
        days = moments_of(users(rng, 30, effect, days=20))
        grown.append(Moments(*(np.cumsum(part, axis=1) for part in (days.n, days.sums, days.products))))
    return Peeked(relative_difference(grown[0], grown[1]))


def test_an_always_valid_interval_holds_the_truth_on_all_days_at_once(peeked: Peeked) -> None:
    found = peeked.found
    ends = intervals(found, always_valid(found.users, planned=600))
    inside = (ends.low <= 0) & (ends.high >= 0)
    assert inside.all(axis=1).mean() >= 0.94
    assert (always_valid_p(found, planned=600) <= 0.05).any(axis=1).mean() <= 0.06


def test_it_does_so_where_there_is_an_effect() -> None:
    found = watched(0.1).found
    ends = intervals(found, always_valid(found.users, planned=600))
    assert ((ends.low <= 0.1) & (ends.high >= 0.1)).all(axis=1).mean() >= 0.94


def test_peeking_at_fixed_intervals_is_wrong_far_more_often(peeked: Peeked) -> None:
    ends = intervals(peeked.found, fixed(peeked.found))
    inside = (ends.low <= 0) & (ends.high >= 0)
    assert inside[:, -1].mean() > 0.93
    assert inside.all(axis=1).mean() < 0.85


def test_the_interval_and_the_p_value_say_the_same(peeked: Peeked) -> None:
    found = peeked.found
    ends = intervals(found, always_valid(found.users, planned=600))
    np.testing.assert_array_equal((ends.low > 0) | (ends.high < 0), always_valid_p(found, planned=600) < 0.05)


@pytest.mark.parametrize("lift", [0.0, 1.0])
def test_near_zero_fiellers_interval_holds_the_truth_and_says_when_there_is_none(lift: float) -> None:
    """About four events in control."""
    rng = np.random.default_rng(4)
    made = []
    for effect in (0.0, lift):
        events = rng.poisson(0.02 * (1 + effect), (EXPERIMENTS, 200)).astype(float)
        made.append(moments_of(np.stack([events, np.ones_like(events), events * 0, np.ones_like(events)], axis=-1)))
    found = relative_difference(made[0], made[1])
    known = np.isfinite(found.value)
    ends = intervals(found, fixed(found))
    assert ends.near_zero[known].mean() > 0.8
    unbounded = np.isnan(ends.low)
    assert 0.1 < unbounded[known].mean() < 0.9
    held = unbounded | ((ends.low <= lift) & (lift <= ends.high))
    assert held[known].mean() > 0.93


def test_a_split_as_the_weights_have_it_is_seldom_called_wrong() -> None:
    rng = np.random.default_rng(5)
    alarms = [mismatch_p(list(rng.multinomial(10_000, [0.9, 0.1])), [9, 1]) < 0.001 for _ in range(EXPERIMENTS)]
    assert np.mean(alarms) <= 0.004
    assert mismatch_p([9_200, 800], [9, 1]) < 0.001
    assert mismatch_p([3, 0], [1, 0]) == 1
    assert mismatch_p([3, 1], [1, 0]) == 0
