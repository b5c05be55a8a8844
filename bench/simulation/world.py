"""What attracts whom, and how it moves: all that is random about a world is drawn when it is made."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("none", "slow", "seasonal", "sudden")


@dataclass(frozen=True)
class Drift:
    """A path on the unit sphere that drawn tables span, so that the correlation of any two days is known."""

    kind: Literal["none", "slow", "seasonal", "sudden"] = "none"
    of: Literal["affinity", "popularity"] = "affinity"
    period: float = 90.0
    """Days. Slow: after so many nothing of the old is left. Seasonal: after so many it is as it was."""
    at: tuple[int, ...] = (90,)
    """Sudden: the days of the changes."""
    depth: float = 1.0
    """Sudden and seasonal: how far it goes; with 1 nothing of the old is left."""

    def anchors(self, days: int) -> int:
        """Independent tables that the path needs."""
        return {"none": 1, "slow": ceil(days / self.period) + 1, "seasonal": 2, "sudden": len(self.at) + 1}[self.kind]

    def weights(self, day: int, days: int) -> Floats:
        """Of each anchor on a day; the sum of their squares is 1."""
        found = np.zeros(self.anchors(days))
        if self.kind == "slow":
            place, angle = divmod(day / self.period, 1.0)
            found[int(place)], found[int(place) + 1] = np.cos(angle * np.pi / 2), np.sin(angle * np.pi / 2)
        elif self.kind == "seasonal":
            angle = self.depth * (1 - np.cos(2 * np.pi * day / self.period)) / 2
            found[:] = np.cos(angle * np.pi / 2), np.sin(angle * np.pi / 2)
        else:
            found[0] = 1.0
            for anchor in range(1, 1 + sum(day >= change for change in self.at) if self.kind == "sudden" else 1):
                found *= np.cos(self.depth * np.pi / 2)
                found[anchor] = np.sin(self.depth * np.pi / 2)
        return found

    def correlation(self, one: int, other: int, days: int) -> float:
        """Of what moves, between two days."""
        return float(self.weights(one, days) @ self.weights(other, days))


@dataclass(frozen=True)
class People:
    """How many users, and what they are like."""

    users: int = 2000
    steps_per_day: float = 1.0
    """Mean over users, whose rates are Gamma distributed (shape 1.5)."""
    likes: float = 0.7
    """Standard deviation of what a user likes."""
    satiation: float = 0.4
    half_life: float = 5.0
    """Days after which half of a satiation is gone."""
    curiosity: float = 1.0
    """Most that novelty is worth; a user's share of it is Beta(2, 4)."""
    nudge: float = 1.0
    """What being recommended is worth."""


@dataclass(frozen=True)
class World:
    """`interests` clusters over `days` days."""

    interests: int = 24
    days: int = 180
    drift: Drift = Drift()
    people: People = People()
    popularity: float = 0.7
    """Standard deviation of the interests' popularity."""
    affinity: float = 1.0
    """Standard deviation of each of the two affinities."""
    shelf: int = 20
    """Items of an interest at a time; taken by rank with 1 / rank."""
    lifetime: float = 0.0
    """Mean days until an item is replaced by a new one; 0: never."""
    seed: int = 0

    def tables(self) -> "Tables":
        rng = np.random.default_rng([self.seed, 0])
        size, moving = self.interests, self.drift.anchors(self.days)
        popular = moving if self.drift.of == "popularity" else 1
        affine = moving if self.drift.of == "affinity" else 1
        return Tables(
            self,
            rng.normal(size=(popular, size)) * self.popularity,
            rng.normal(size=(affine, size, size)) * self.affinity,
            rng.normal(size=(affine, size, size)) * self.affinity,
        )


@dataclass(frozen=True)
class Tables:
    """The drawn anchors of a world."""

    world: World
    popularity: Floats
    """[anchors or 1, |C|]"""
    first: Floats
    """[anchors or 1, |C|, |C|]: row c1"""
    second: Floats
    """[anchors or 1, |C|, |C|]: row c2"""

    def on(self, day: int) -> tuple[Floats, Floats, Floats]:
        """Popularity [|C|], first and second affinity [|C|, |C|] of a day."""
        weights = self.world.drift.weights(day, self.world.days)
        found = [np.tensordot(weights if len(part) == len(weights) else np.ones(1), part, axes=1) for part in self._parts]
        return found[0], found[1], found[2]

    @property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        return self.popularity, self.first, self.second
