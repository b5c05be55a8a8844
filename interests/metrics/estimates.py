"""A number that was measured on a sample, and how far chance may have moved it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftline.contracts import BadInput

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
GROUPS = 2000
"""More units than this are first put at random into so many groups, which are then resampled: the cost has a bound."""
CHUNK = 200
"""Resamples that are drawn together."""
ENOUGH = 10
"""Of fewer units an interval decides nothing: a percentile bootstrap over two to five leaves out the truth far too often."""


@dataclass(frozen=True)
class Estimate:
    """A mean or share with its bootstrap interval. `None` where there is nothing to measure; the interval needs two units."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Units that were resampled: ordered pairs or users; whoever shows the number says which."""

    @property
    def enough(self) -> bool:
        """True with `ENOUGH` units or more: an interval of fewer decides nothing."""
        return self.n >= ENOUGH

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 0, and there are `ENOUGH` units. Of several estimates: `significance.detected`."""
        return self.enough and self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def above(self, other: "Estimate") -> bool:
        """Whether the interval lies above the other's, and there are `ENOUGH` units of both."""
        return self.enough and other.enough and self.low is not None and other.high is not None and self.low > other.high


@dataclass(frozen=True)
class Difference:
    """Paired difference a − b of two arms in one measure, over the same occurrences. The interval is over users."""

    a: str
    b: str
    estimate: Estimate


def ratio(numerator: ArrayLike, denominator: ArrayLike, *, seed: int = 0, confidence: float = CONFIDENCE) -> Estimate:
    """Σ numerator / Σ denominator over independent units, with the percentile interval of a bootstrap over those units.

    A share of occurrences clustered in users is such a ratio (hits of a user / occurrences of a user), and so is a mean over
    ordered pairs that were seen in several windows. A paired difference is one whose numerator is the difference.

    Args:
        numerator, denominator: float or int [units]; units with a denominator of 0 count for nothing.
        seed: of the draws; the same values and seed give the same interval.
        confidence: of the interval, which leaves out as much on either side.

    Returns:
        `n`: units with a denominator above 0. Without any, `value` is None; with fewer than two, `low` and `high` are.

    Raises:
        BadInput: the two differ in length, a denominator is negative, or a value is not finite.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if above.ndim != 1 or above.shape != below.shape:
        raise BadInput(f"numerator and denominator must be of the same units: they have the shapes {above.shape}, {below.shape}")
    if not (np.isfinite(above).all() and np.isfinite(below).all()) or (below < 0).any():
        raise BadInput("a ratio needs finite numerators and denominators of 0 or more")
    above, below = above[below > 0], below[below > 0]
    n = len(below)
    if n == 0:
        return Estimate(None, None, None, 0)
    value = float(above.sum() / below.sum())
    if n == 1:
        return Estimate(value, None, None, 1)
    rng = np.random.default_rng(seed)
    if n > GROUPS:
        group = rng.permutation(n) % GROUPS
        above, below = (np.bincount(group, units).astype(np.float64) for units in (above, below))
    low, high = np.quantile(_resampled(above, below, rng), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def mean(values: ArrayLike, *, seed: int = 0) -> Estimate:
    """The mean of independent values, NaN left out, with its bootstrap interval."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return ratio(known, np.ones_like(known), seed=seed)


def _resampled(above: Floats, below: Floats, rng: np.random.Generator) -> Floats:
    """The ratio in `RESAMPLES` draws of as many units, with replacement; a few draws at a time, so that memory stays small."""
    units = len(below)
    ratios = []
    for start in range(0, RESAMPLES, CHUNK):
        drawn = rng.integers(0, units, size=(min(CHUNK, RESAMPLES - start), units), dtype=np.int32)
        ratios.append(above[drawn].sum(axis=1) / below[drawn].sum(axis=1))
    return np.concatenate(ratios)
