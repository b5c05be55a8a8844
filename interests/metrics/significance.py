"""Which of several estimates differ from 0 when all of them are looked at together."""

from collections.abc import Sequence

from scipy.special import ndtr, ndtri

from driftline.interests.metrics.estimates import CONFIDENCE, Estimate


def detected(family: Sequence[Estimate]) -> tuple[bool, ...]:
    """Holm's step-down test: of a family of zeros, the chance that any is called different from 0 is at most 5 %.

    The p-value is that of a normal distribution with the width of the 95 % interval. The smallest must lie below 5 % / m, the
    next below 5 % / (m − 1), and so on; the first that does not ends the test. Estimates with too few units count for nothing,
    neither as a test nor in m.

    Returns:
        One answer per estimate, in their order.
    """
    return holm([p_value(estimate) if estimate.enough else None for estimate in family])


def holm(family: Sequence[float | None], alpha: float = 1 - CONFIDENCE) -> tuple[bool, ...]:
    """The same of p-values; None is no test."""
    known = {place: p for place, p in enumerate(family) if p is not None}
    found = [False] * len(family)
    for rank, place in enumerate(sorted(known, key=known.__getitem__)):
        if known[place] > alpha / (len(known) - rank):
            break
        found[place] = True
    return tuple(found)


def p_value(estimate: Estimate) -> float | None:
    """Two-sided p-value against 0; None without an interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    error = (estimate.high - estimate.low) / (2 * -ndtri((1 - CONFIDENCE) / 2))
    return float(2 * ndtr(-abs(estimate.value) / error)) if error else float(estimate.value == 0)
