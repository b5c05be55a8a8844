"""The top-k successors of every ordered pair: what drift and staleness compare (paper §2.1, §3.1)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ranking = Literal["frequency", "lift"]
RANKINGS: tuple[Ranking, ...] = ("frequency", "lift")


@dataclass(frozen=True)
class Successors:
    """Of one sample of users in one window.

    Attributes:
        top: by ranking, int32 [pairs, k]: each pair's successors, best first, filled up with −1.
        support: int64 [pairs]: occurrences of the pair, Σ n(c1, c2, ·).
    """

    top: dict[Ranking, NDArray[np.int32]]
    support: NDArray[np.int64]
