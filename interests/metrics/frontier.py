"""Exploration is not recall: popular answers are easy to hit. Which arms no other beats on both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Axis = Literal["effective_clusters", "novel"]
"""What recall is traded for: interests answered (2 ** entropy), or predictions that are new to the user."""


@dataclass(frozen=True)
class Frontier:
    """The arms that no other beats on both recall and this axis, by falling recall. Values count as measured, noise and all."""

    against: Axis
    arms: tuple[str, ...]


def frontier(points: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """The names of the points that no other beats on both coordinates, by the first, falling; equals stay together."""
    best = [name for name, point in points.items() if not any(beats(other, point) for other in points.values())]
    return tuple(sorted(best, key=lambda name: (-points[name][0], -points[name][1])))


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Pareto dominance: at least as good on both, and better on one."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
