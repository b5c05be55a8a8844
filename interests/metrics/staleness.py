"""Whether retrieved facts go stale: the top-k lists of a retrieval date against those of later days (paper §3.1, Figure 3b)."""

from dataclasses import dataclass
from datetime import datetime

from interests.metrics.estimates import Estimate


@dataclass(frozen=True)
class StalePoint:
    """`days` after the retrieval date. Intervals are over ordered pairs."""

    days: int
    top_k: int
    same_list: Estimate
    """Share of pairs whose k most frequent successors are the same in the same order."""
    same_set: Estimate
    """Share of pairs whose k most frequent successors are the same, in any order."""


@dataclass(frozen=True)
class Staleness:
    """Metric 2."""

    retrieved_at: datetime
    window_days: int
    """Each list is of the `window_days` days before its date."""
    min_support: int
    pairs: int
    """Ordered pairs with enough support on the retrieval date."""
    points: tuple[StalePoint, ...]
    missing: tuple[str, ...] = ()
