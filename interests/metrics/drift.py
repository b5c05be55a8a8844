"""How fast interests move (paper §2.1), and how much of that is sampling noise."""

from dataclasses import dataclass
from datetime import datetime

from interests.metrics.estimates import Estimate
from interests.metrics.successors import Ranking


@dataclass(frozen=True)
class Lag:
    """One point of the lag curve. Intervals are over ordered pairs: a pair is resampled with all its windows."""

    lag: int
    """Windows between the two that are compared."""
    window_pairs: int
    comparisons: int
    """(ordered pair, window, later window) with enough support in both halves of both windows."""
    jaccard: Estimate
    """Whole window against whole window: the paper's number."""
    variance: float | None
    """Of the single Jaccard similarities behind `jaccard` (population variance)."""
    across: Estimate
    """Half of the users of one window against the other half of the later window."""
    ceiling: Estimate
    """One half against the other half of the same window: what `across` would be if interests stood still."""
    drift: Estimate
    """ceiling − across, paired."""


@dataclass(frozen=True)
class Curve:
    ranking: Ranking
    lags: tuple[Lag, ...]


@dataclass(frozen=True)
class WindowFacts:
    """`ceiling`: Jaccard similarity of the two halves of this window's users, by `frequency`, over its supported pairs."""

    start: datetime
    end: datetime
    users: int
    triples: int
    pairs: int
    """Ordered pairs with enough support in both halves."""
    ceiling: Estimate


@dataclass(frozen=True)
class Drift:
    """Metric 1: a curve for raw frequency and one for lift, so that a change of popularity and one of affinity differ."""

    clusters: int
    top_k: int
    min_support: int
    """Occurrences that a pair needs in each half of both windows."""
    windows: tuple[WindowFacts, ...]
    curves: tuple[Curve, ...]
    missing: tuple[str, ...] = ()
    """What could not be measured: 'not enough data: n = …'."""
