"""A number that was measured on a sample, and how far chance may have moved it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
RESAMPLES = 2000
GROUPS = 2000
"""More units than this are first put at random into so many groups, which are then resampled: the cost has a bound."""


@dataclass(frozen=True)
class Estimate:
    """A mean or share with its bootstrap interval. `None` where there is nothing to measure; the interval needs two units."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Units that were resampled: ordered pairs or users; whoever shows the number says which."""

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def ratio(numerator: ArrayLike, denominator: ArrayLike, *, seed: int = 0) -> Estimate:
    """Σ numerator / Σ denominator over independent units, with the percentile interval of a bootstrap over those units.

    A share of occurrences clustered in users is such a ratio (hits of a user / occurrences of a user), and so is a mean over
    ordered pairs that were seen in several windows. A paired difference is one whose numerator is the difference.

    Args:
        numerator, denominator: float or int [units]; units with a denominator of 0 count for nothing.
    """
    raise NotImplementedError


def mean(values: ArrayLike, *, seed: int = 0) -> Estimate:
    """The mean of independent values, NaN left out, with its bootstrap interval."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return ratio(known, np.ones_like(known), seed=seed)
