"""Intervals around a relative difference: fixed, or valid on every day at once; by Fieller where control is near zero."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from driftline.interests.experiments.difference import RelativeDifference
from driftline.interests.experiments.moments import Floats

ALPHA = 0.05
NEAR_ZERO = 3.0
"""Standard errors that control's metric has to be away from 0 for the delta method."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Intervals of relative differences. `low`, `high`: [...]; NaN where no bound can be given. `near_zero`: Fieller's, of a
    control that is near zero."""

    low: Floats
    high: Floats
    near_zero: np.ndarray


def fixed(found: RelativeDifference, alpha: float = ALPHA) -> Floats:
    """Standard errors to either side for one look at one time, by Student's t."""
    return np.asarray(-stdtrit(found.freedom, alpha / 2))


def always_valid(users: Floats, planned: float, alpha: float = ALPHA) -> Floats:
    """Standard errors to either side so that the interval holds the truth at all times at once: peeking is allowed.

    The asymptotic confidence sequence of Waudby-Smith et al. (arXiv 2103.06476, eq. 9).

    Args:
        planned: users at whose number it is narrowest; to be chosen before the start.
    """
    spread = users * rho2(planned, alpha)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(2 * (spread + 1) * np.log(np.sqrt(spread + 1) / alpha) / spread))


def rho2(planned: float, alpha: float = ALPHA) -> float:
    """Eq. 161 there: the mixture's variance whose sequence is narrowest at so many users."""
    log = -2 * np.log(alpha)
    return float((log + np.log(log + 1)) / planned)


def intervals(found: RelativeDifference, errors: Floats) -> Intervals:
    """Intervals by the delta method, or Fieller's where the control is near zero. `errors`: standard errors to either side, as
    `fixed` or `always_valid` give them."""
    with np.errstate(invalid="ignore"):
        size = np.abs(found.control)
        near_zero = size < NEAR_ZERO * np.sqrt(found.base_variance)
        width = errors * np.sqrt(found.variance)
        low, high = fieller(found, errors)
        return Intervals(
            np.where(near_zero, low, found.value - width), np.where(near_zero, high, found.value + width), np.asarray(near_zero)
        )


def fieller(found: RelativeDifference, errors: Floats) -> tuple[Floats, Floats]:
    """All ratios that the data does not refute: NaN where that is no interval, because control may be 0 itself."""
    with np.errstate(invalid="ignore", divide="ignore"):
        size, squared = np.abs(found.control), errors**2
        across = np.sign(found.control) * found.covariance  # with |a|
        # (d − q a)² ≤ z² (var d − 2 q cov + q² var a), solved for q.
        square = size**2 - squared * found.base_variance
        linear = found.absolute * size - squared * across
        constant = found.absolute**2 - squared * found.absolute_variance
        root = np.sqrt(linear**2 - square * constant)
        low, high = (linear - root) / square, (linear + root) / square
        bounded = square > 0
        return np.where(bounded, low, np.nan), np.where(bounded, high, np.nan)
