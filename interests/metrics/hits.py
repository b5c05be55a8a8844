"""Hit rate: does what a mapping predicts come true later in the user's real sequence (design §3.9, paper §3.1, Figure 3a)?"""

from dataclasses import dataclass
from datetime import date

from interests.metrics.estimates import Estimate


@dataclass(frozen=True)
class ArmHits:
    """One mapping, or one that is renewed along the way."""

    name: str
    rate: Estimate
    """Over the whole period; the interval is over users."""
    daily: tuple[Estimate, ...]
    """By day of the period; `value` is None on a day without an occurrence."""
    novel: Estimate
    """Share of occurrences whose predicted cluster the user had not shown before, in the period or in the history before it."""


@dataclass(frozen=True)
class Difference:
    """rate(a) − rate(b), paired: both are asked about the same occurrences. The interval is over users."""

    a: str
    b: str
    estimate: Estimate


@dataclass(frozen=True)
class HitRates:
    """Metrics 3 and 6."""

    days: tuple[date, ...]
    users: int
    occurrences: int
    """(user, pair) occurrences that something follows in the user's sequence."""
    last_pairs: int
    """Occurrences that nothing follows; they are not counted."""
    chance: float | None
    """Hit rate of a novel cluster drawn at random for each occurrence."""
    arms: tuple[ArmHits, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...] = ()
