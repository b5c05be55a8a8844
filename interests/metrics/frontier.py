"""Exploration is not recall: popular answers are easy to hit. Which arms no other beats on both."""

from collections.abc import Sequence
from dataclasses import dataclass

from driftline.interests.metrics.estimates import Estimate


@dataclass(frozen=True)
class Point:
    """One mapping, or the blend at one setting."""

    arm: str
    setting: float | None
    """β of a blend: its weight of popularity; None for an arm without one."""
    recall: Estimate
    effective_clusters: float
    """2 ** entropy of the answers over all pairs."""
    uptake: Estimate | None = None
    """Share of predictions that come true with an interest that is new to the user."""

    def beaten_by(self, other: "Point") -> bool:
        """Whether the other is at least as good on both, and better on one."""
        ours = (self.recall.value or 0.0, self.effective_clusters)
        theirs = (other.recall.value or 0.0, other.effective_clusters)
        return theirs != ours and all(b >= a for a, b in zip(ours, theirs, strict=True))


def frontier(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that no other beats on both recall and the effective number of interests answered, by falling recall."""
    best = [point for point in points if not any(point.beaten_by(other) for other in points)]
    return tuple(sorted(best, key=lambda point: (-(point.recall.value or 0.0), -point.effective_clusters)))
