"""Who predicts better where: by how often the pair was seen in the window that the mappings knew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from driftline.interests import triples
from driftline.interests.metrics.estimates import Difference, Estimate, ratio
from driftline.interests.pairs import Ints, pair_count

BOUNDS = (0, 5, 20)
"""The last occurrence of each level but the open one: 0, 1–5, 6–20, more than 20."""


@dataclass(frozen=True)
class Tally:
    """Occurrences by level of the pair and by user, int64 [levels, users]: those that an arm hits, and whose next step it has."""

    hits: Ints
    nexts: Ints


@dataclass(frozen=True)
class ArmAt:
    """One arm at one level; intervals are over users."""

    name: str
    rate: Estimate
    """Hit rate."""
    recall: Estimate


@dataclass(frozen=True)
class Level:
    """Pairs seen between `low` and `high` times (None: any more)."""

    low: int
    high: int | None
    pairs: int
    """Ordered pairs of this support, whether or not the held-out period has them."""
    occurrences: int
    """In the held-out period."""
    arms: tuple[ArmAt, ...]
    differences: tuple[Difference, ...] = ()
    """Of recall, paired."""


LEVELS = len(BOUNDS) + 1


def support(counts: pa.Table, n_clusters: int) -> Ints:
    """n(c1, c2, ·), int64 [|C|·(|C|−1)] by the pair's number. `counts`: c1, c2, c_next: int32, n: int64."""
    known = triples.read(counts, n_clusters)
    return np.bincount(known.pair(n_clusters), known.n, pair_count(n_clusters)).astype(np.int64)


def level_of(support: Ints) -> Ints:
    """The level of each pair, from 0, by n(c1, c2, ·)."""
    return np.searchsorted(BOUNDS, support, side="left")


def by_support(level: Ints, units: Tally, arms: Mapping[str, Tally], differences: Sequence[tuple[str, str]]) -> tuple[Level, ...]:
    """Hit rate and recall of each arm over pairs of similar support.

    Args:
        level: of every ordered pair.
        units: all occurrences, and those that are triples.
        arms: of each arm those that it hits, and those whose next step it predicts.
        differences: (a, b) for recall(a) − recall(b).
    """
    lows, highs = (0, *(bound + 1 for bound in BOUNDS)), (*BOUNDS, None)
    return tuple(
        Level(
            low=low,
            high=high,
            pairs=int((level == place).sum()),
            occurrences=int(units.hits[place].sum()),
            arms=tuple(
                ArmAt(name, ratio(arm.hits[place], units.hits[place]), ratio(arm.nexts[place], units.nexts[place]))
                for name, arm in arms.items()
            ),
            differences=tuple(
                Difference(a, b, ratio(arms[a].nexts[place] - arms[b].nexts[place], units.nexts[place])) for a, b in differences
            ),
        )
        for place, (low, high) in enumerate(zip(lows, highs, strict=True))
    )
