"""Whether retrieved facts go stale: the top-k lists of a retrieval date against those of later days (paper §3.1, Figure 3b)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from driftline.contracts import BadInput
from driftline.interests.metrics.estimates import Estimate, mean
from driftline.interests.metrics.successors import Successors, same_list, same_set


@dataclass(frozen=True)
class StalePoint:
    """How stale retrieval is `days` after the retrieval date. Intervals are over ordered pairs."""

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


def staleness(
    retrieved: Successors,
    later: Sequence[tuple[int, Successors]],
    top_k: Sequence[int],
    min_support: int,
    retrieved_at: datetime,
    window_days: int,
) -> Staleness:
    """Exact match of the top-k successor lists of a retrieval date and of later days (paper §3.1, Figure 3b).

        same_list(k, d) = share of pairs whose list [c¹ … cᵏ] of day d is that of the retrieval date
        same_set(k, d)  = the same, order aside

    over the ordered pairs with `min_support` occurrences in the window that ends at the retrieval date, whatever became of
    them: a fact about a pair that nobody shows any more is stale, too. Lists with fewer than k successors are compared as they
    are. The windows overlap by `window_days` − d days, so the share falls with d even where only chance changes the ranks.

    Args:
        later: (days after the retrieval date, the lists of that day); longest lists at least max(top_k).

    Raises:
        BadInput: the lists are of different cluster sets, or shorter than a `top_k`.
    """
    pairs, length = retrieved.top["frequency"].shape
    for _, found in later:
        length = min(length, found.top["frequency"].shape[1])
        if len(found.support) != pairs:
            raise BadInput(f"lists of {pairs} and of {len(found.support)} pairs: list them with the same cluster set")
    if top_k and not 1 <= min(top_k) <= max(top_k) <= length:
        raise BadInput(f"measures.stale_top_k = {list(top_k)} must lie between 1 and {length}, the length of the lists")
    known = np.flatnonzero(retrieved.support >= min_support)
    missing = []
    if not len(known):
        missing.append(
            f"staleness: not enough data: n = 0 pairs with {min_support} occurrences in the {window_days} days "
            f"before {retrieved_at:%Y-%m-%d}"
        )
    if not later:
        missing.append(f"staleness: not enough data: n = 0 days after {retrieved_at:%Y-%m-%d} are in the log")
    before = retrieved.top["frequency"][known]
    points = []
    for days, found in later:
        after = found.top["frequency"][known]
        points += [StalePoint(days, k, mean(same_list(before, after, k)), mean(same_set(before, after, k))) for k in top_k]
    return Staleness(retrieved_at, window_days, min_support, len(known), tuple(points), tuple(missing))
