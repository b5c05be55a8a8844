"""Moments: the sums over users that every number of an experiment comes from; days and shards of users add up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NUMERATOR, DENOMINATOR, NUMERATOR_BEFORE, DENOMINATOR_BEFORE = range(4)
"""Places of a user's four numbers: of the experiment's days, and of the days before it."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over users of four numbers and of their products.

    Attributes:
        n: [...], users.
        sums: [..., 4], of each number.
        products: [..., 4, 4], of the products of two numbers.
    """

    n: Floats
    sums: Floats
    products: Floats

    @property
    def mean(self) -> Floats:
        """[..., 4]; NaN without a user."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums / self.n[..., None])

    @property
    def covariance(self) -> Floats:
        """[..., 4, 4], between users; NaN of fewer than two."""
        n = self.n[..., None, None]
        outer = self.sums[..., :, None] * self.sums[..., None, :]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(n > 1, (self.products - outer / n) / (n - 1), np.nan))

    def scaled(self, share: float) -> "Moments":
        """Moments as if there were so many times as many users of the same kind."""
        return Moments(self.n * share, self.sums * share, self.products * share)

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of the users of both."""
        return Moments(self.n + other.n, self.sums + other.sums, self.products + other.products)


def moments_of(users: ArrayLike) -> Moments:
    """Moments over single users: [..., users, 4]."""
    values = np.asarray(users, dtype=np.float64)
    n = np.full(values.shape[:-2], float(values.shape[-2]))
    return Moments(n, values.sum(axis=-2), np.swapaxes(values, -1, -2) @ values)
