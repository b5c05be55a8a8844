"""P-values of an experiment: valid at all times at once, of one look, and of the split of the users."""

from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc, stdtr

from driftline.interests.experiments.difference import RelativeDifference
from driftline.interests.experiments.intervals import ALPHA, NEAR_ZERO, rho2
from driftline.interests.experiments.moments import Floats


def statistic(found: RelativeDifference) -> Floats:
    """Standard errors from no difference; of the plain difference where control is near zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        near_zero = np.abs(found.control) < NEAR_ZERO * np.sqrt(found.base_variance)
        relative = found.value / np.sqrt(found.variance)
        return np.where(near_zero, found.absolute / np.sqrt(found.absolute_variance), relative)


def always_valid_p(found: RelativeDifference, planned: float, alpha: float = ALPHA) -> Floats:
    """Two-sided p-value that may be looked at every day (eq. 155 of arXiv 2103.06476). `planned`: as of
    `intervals.always_valid`."""
    spread = found.users * rho2(planned, alpha)
    log_evidence = statistic(found) ** 2 * spread / (2 * (spread + 1)) - np.log(spread + 1) / 2
    return np.asarray(np.minimum(np.exp(-log_evidence), 1.0))


def fixed_p(found: RelativeDifference) -> Floats:
    """Two-sided p-value of one look, by Student's t."""
    return np.asarray(2 * stdtr(found.freedom, -np.abs(statistic(found))))


def mismatch_p(users: Sequence[int], weights: Sequence[float]) -> float:
    """Sample-ratio mismatch: the chance of a split this far from the weights, by chi-square; 1 without users."""
    total, weight = sum(users), sum(weights)
    if not total:
        return 1.0
    expected = [total * part / weight for part in weights]
    distance = sum((n - e) ** 2 / e for n, e in zip(users, expected, strict=True) if e > 0)
    freedom = sum(e > 0 for e in expected) - 1
    if any(n for n, e in zip(users, expected, strict=True) if e <= 0):
        return 0.0
    return float(chdtrc(freedom, distance)) if freedom else 1.0
