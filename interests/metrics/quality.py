"""One mapping's quality beside its baselines, for the record of every table (design §3.7–§3.9, paper §2.2)."""

from dataclasses import dataclass
from datetime import datetime

from interests.metrics.estimates import Estimate
from interests.metrics.hits import HitRates


@dataclass(frozen=True)
class Recall:
    """Test-set recall of one mapping; the interval is over ordered pairs."""

    name: str
    recall: Estimate


@dataclass(frozen=True)
class Quality:
    """Metric 7, of one table."""

    table: int
    kind: str
    nominal: datetime
    clusters: int
    exact_match_rate: float | None
    recalls: tuple[Recall, ...]
    """Of the table, the most popular successor and the most frequent successor of the pair; by name."""
    chance: float
    test_triples: int
    coverage: int
    """Clusters that the mapping ever answers."""
    entropy: float
    """Of the answers over all pairs, in bits: 0 when every pair gets the same one, log2 |C| when all are given equally often."""
    effective_clusters: float
    """2 ** entropy: equally frequent answers that would have this entropy."""
    top_share: float
    """Share of pairs that get the most frequent answer."""
    hits: HitRates
    """On the test window: the table and both counting baselines."""
    compared_with: int | None
    """The table before this one."""
    changed: float | None
    """Share of pairs whose answer differs from that table's."""
