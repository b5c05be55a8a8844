"""What a report is made of: facts about the table, the measurements, and what they say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftline.contracts import Window
from driftline.interests.metrics.answers import AnswersCompared
from driftline.interests.metrics.drift import Drift
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.policy import Policy
from driftline.interests.metrics.quality import Quality
from driftline.interests.metrics.staleness import Staleness
from driftline.interests.naming import Named
from driftline.report.finding import Finding

MIN_EXACT_MATCH_RATE = 0.90
"""The paper's gate (§2.2)."""
MAX_UNKNOWN_SHARE = 0.20


@dataclass(frozen=True)
class CostRow:
    """What a run spent on one table, and how quickly it acted. `None`: not on record, or nothing of the kind was done."""

    table: int
    kind: str
    nominal: datetime
    window_end: datetime
    published_at: datetime | None = None
    tokens_trained: int | None = None
    tokens_forwarded: int | None = None
    asked: int | None = None
    """Pairs that the LLM answered."""
    reused: int | None = None
    """Pairs whose very prompt it had answered before."""
    train_cpu_seconds: float | None = None
    train_gpu_seconds: float | None = None
    train_wall_seconds: float | None = None
    generate_cpu_seconds: float | None = None
    generate_gpu_seconds: float | None = None
    generate_wall_seconds: float | None = None
    changed: float | None = None
    """Share of pairs whose answer differs from the table before."""
    rows: int | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a measurement is in Postgres, and what it was computed from."""

    kind: str
    version: int
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """Everything the page shows. A measurement that was never made is None."""

    table: int
    kind: str
    nominal: datetime
    model: int | None
    """None: a table of counts."""
    cluster_set: int
    clusters: int
    pairs: int
    window: Window
    written_at: datetime
    channels: tuple[str, ...] = ()
    """That serve this table now."""
    test_window: Window | None = None
    min_exact_match_rate: float = MIN_EXACT_MATCH_RATE
    max_unknown_share: float = MAX_UNKNOWN_SHARE
    drift: Drift | None = None
    staleness: Staleness | None = None
    refresh: HitRates | None = None
    answers: AnswersCompared | None = None
    retrieval: HitRates | None = None
    policy: Policy | None = None
    """From histories to items."""
    names: Named | None = None
    """Of the cluster set's descriptions."""
    qualities: tuple[Quality, ...] = ()
    """Of all tables of the cluster set, by nominal time."""
    costs: tuple[CostRow, ...] = ()
    computed: Mapping[str, Any] | None = None
    """What answered: engine, precision, device and versions."""
    answers_from: str = "llm"
    """What the table is made of: llm | blend | counts."""
    weights: Mapping[str, Any] | None = None
    """What was fitted on the validation window, by name."""
    likeliest: int | None = None
    """Pairs whose greedy answer is also the likeliest; None: no scores were kept."""
    findings: tuple[Finding, ...] = ()
    sources: tuple[Provenance, ...] = ()
