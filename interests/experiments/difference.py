"""The relative difference between two arms by the delta method, adjusted by the days before (CUPED) where they are known.

Of arms A (control) and B: (b − a) / |a|, where a and b are means per user or ratios of two sums over users. Its variance is

    s²_b / (n_b a²) + s²_a b² / (n_a a⁴),    of a ratio s² = (var x − 2 r cov(x, y) + r² var y) / ȳ²

CUPED takes off θ times the same ratio of the days before the experiment, which no treatment has touched; θ comes from all users
of both arms, and the difference stays relative to control as it was measured.
"""

from dataclasses import dataclass

import numpy as np

from driftline.interests.experiments.moments import (
    DENOMINATOR,
    DENOMINATOR_BEFORE,
    NUMERATOR,
    NUMERATOR_BEFORE,
    Floats,
    Moments,
)


@dataclass(frozen=True, eq=False)
class RelativeDifference:
    """Relative differences between treatment and control. All arrays are [...], as the moments are; NaN where there is nothing to
    divide, or fewer than two users.

    Attributes:
        control, treatment: the metric, unadjusted.
        absolute, absolute_variance: b − a, adjusted.
        base_variance: of a, unadjusted.
        covariance: between b − a and a.
        value, variance: of the relative difference.
        freedom: degrees of freedom by Welch and Satterthwaite.
        users: of both arms.
        theta: what CUPED took; 0: nothing.
        reduction: share of the variance between users that CUPED took away.
    """

    control: Floats
    treatment: Floats
    absolute: Floats
    absolute_variance: Floats
    base_variance: Floats
    covariance: Floats
    value: Floats
    variance: Floats
    freedom: Floats
    users: Floats
    theta: Floats
    reduction: Floats


def relative_difference(control: Moments, treatment: Moments, adjust: bool = False) -> RelativeDifference:
    """How far treatment lies above control, relative to control. `adjust`: by the days before (CUPED)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, slope_a = _ratio(control, NUMERATOR, DENOMINATOR)
        b, slope_b = _ratio(treatment, NUMERATOR, DENOMINATOR)
        plain = _variance(control, slope_a), _variance(treatment, slope_b)
        theta, below, beyond = np.zeros_like(a), slope_a, slope_b
        shift = np.zeros_like(a)
        if adjust:
            theta = _theta(control + treatment)
            before_a, before_slope_a = _ratio(control, NUMERATOR_BEFORE, DENOMINATOR_BEFORE)
            before_b, before_slope_b = _ratio(treatment, NUMERATOR_BEFORE, DENOMINATOR_BEFORE)
            used = theta != 0
            below = np.where(used[..., None], slope_a - theta[..., None] * before_slope_a, slope_a)
            beyond = np.where(used[..., None], slope_b - theta[..., None] * before_slope_b, slope_b)
            shift = np.where(used, theta * (before_b - before_a), 0.0)
        var_a, var_b = _variance(control, below), _variance(treatment, beyond)
        per_a, per_b = var_a / control.n, var_b / treatment.n
        absolute, size = b - a - shift, np.abs(a)
        cross = -np.einsum("...i,...ij,...j->...", below, control.covariance, slope_a) / control.n
        return RelativeDifference(
            control=a,
            treatment=b,
            absolute=absolute,
            absolute_variance=per_a + per_b,
            base_variance=plain[0] / control.n,
            covariance=cross,
            value=absolute / size,
            variance=per_b / size**2 + per_a * b**2 / size**4,
            freedom=(per_a + per_b) ** 2 / (per_b**2 / (treatment.n - 1) + per_a**2 / (control.n - 1)),
            users=control.n + treatment.n,
            theta=theta,
            reduction=1 - (var_a + var_b) / (plain[0] + plain[1]),
        )


def before(moments: Moments) -> Moments:
    """The days before in the place of the experiment's: for what must not differ between the arms."""
    swap = [NUMERATOR_BEFORE, DENOMINATOR_BEFORE, NUMERATOR, DENOMINATOR]
    return Moments(moments.n, moments.sums[..., swap], moments.products[..., swap, :][..., :, swap])


def unit_variance(moments: Moments) -> tuple[Floats, Floats]:
    """The metric, and its variance between users: that of its estimate times n."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value, slope = _ratio(moments, NUMERATOR, DENOMINATOR)
        return value, _variance(moments, slope)


def _ratio(moments: Moments, above: int, below: int) -> tuple[Floats, Floats]:
    """The ratio of two means, and its derivatives by the four means."""
    mean = moments.mean
    value = mean[..., above] / mean[..., below]
    slope = np.zeros_like(mean)
    slope[..., above] = 1 / mean[..., below]
    slope[..., below] = -value / mean[..., below]
    return np.asarray(value), slope


def _variance(moments: Moments, slope: Floats) -> Floats:
    return np.asarray(np.einsum("...i,...ij,...j->...", slope, moments.covariance, slope))


def _theta(both: Moments) -> Floats:
    """Slope of the metric over itself in the days before, of all users; 0 where they say nothing."""
    _, now = _ratio(both, NUMERATOR, DENOMINATOR)
    _, then = _ratio(both, NUMERATOR_BEFORE, DENOMINATOR_BEFORE)
    spread = np.einsum("...i,...ij,...j->...", then, both.covariance, then)
    shared = np.einsum("...i,...ij,...j->...", now, both.covariance, then)
    return np.asarray(np.where(np.isfinite(spread) & (spread > 0) & np.isfinite(shared), shared / spread, 0.0))
