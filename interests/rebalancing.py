"""What prices leave to balance: single rows move to another part (design §3.3)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RowNumbers = NDArray[np.intp]
Parts = NDArray[np.int32]
Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]

NEIGHBOURS = 32
"""An over- or underweight part exchanges rows with so many of its nearest parts, and with the lightest (or heaviest) one."""
LEAST = 1e-9
"""A smaller gain is rounding."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of every part: its least and most weight, and its fewest rows."""

    low: float
    high: float
    rows: int

    def broken(self, load: Floats) -> Floats:
        """Distance of each load from its bounds; 0 inside."""
        return np.maximum(load - self.high, 0) + np.maximum(self.low - load, 0)


def loads(part: Parts, weight: Floats, parts: int) -> Floats:
    """The weight of every part."""
    return np.bincount(part, weight, parts).astype(np.float64, copy=False)


def settle(vectors: Callable[[RowNumbers], Vectors], weight: Floats, part: Parts, centres: Vectors, bounds: Bounds) -> Parts:
    """The parts after as few and as cheap moves as a greedy search finds.

    Every part gets its fewest rows, if there are as many. Then rows leave parts above their bounds and join parts below them, as
    long as that brings the two parts' weights nearer to the bounds. So all weights end within them if no row weighs more than
    the distance between the mean weight and a bound, nor more than a part's mean weight over its fewest rows.
    """
    parts = _Parts(vectors, weight, part.copy(), centres, bounds)
    parts.fill()
    while parts.balance():
        pass
    return parts.part


class _Parts:
    def __init__(
        self, vectors: Callable[[RowNumbers], Vectors], weight: Floats, part: Parts, centres: Vectors, bounds: Bounds
    ) -> None:
        self.vectors, self.weight, self.part, self.centres, self.bounds = vectors, weight, part, centres, bounds
        self.load = loads(part, weight, len(centres))
        self.rows = np.bincount(part, minlength=len(centres))

    def fill(self) -> None:
        for target in np.flatnonzero(self.rows < self.bounds.rows).tolist():
            for source in self.others(target).tolist():
                spare = min(self.rows[source] - self.bounds.rows, self.bounds.rows - self.rows[target])
                if spare > 0:
                    for row in self.leavers(source, target)[:spare].tolist():
                        self.move(row, target)

    def balance(self) -> int:
        """One round over the parts outside their bounds, worst first; the number of moves."""
        moves = 0
        broken = self.bounds.broken(self.load)
        for part in np.argsort(-broken, kind="stable")[: np.count_nonzero(broken > LEAST)].tolist():
            for source, target in self.trades(part):
                for row in self.leavers(source, target, helping=True).tolist():
                    if self.rows[source] > self.bounds.rows and self.gain(source, target, self.weight[row]) > LEAST:
                        self.move(row, target)
                        moves += 1
        return moves

    def trades(self, part: int) -> Iterator[tuple[int, int]]:
        """Yields pairs of parts, from and to, between which rows may help this part, for as long as it is outside its bounds."""
        over = self.load[part] > self.bounds.high
        others = self.others(part)
        fit = others[self.load[others] < self.bounds.high if over else self.load[others] > self.bounds.low]
        last = others[[self.load[others].argmin() if over else self.load[others].argmax()]]
        for other in np.concatenate([fit[:NEIGHBOURS], last]).tolist():
            if self.bounds.broken(self.load[part]) <= LEAST:
                return
            yield (part, other) if over else (other, part)

    def others(self, part: int) -> RowNumbers:
        """All other parts, nearest first."""
        apart = ((self.centres - self.centres[part]) ** 2).sum(axis=1)
        apart[part] = -1
        return np.argsort(apart, kind="stable")[1:]

    def leavers(self, source: int, target: int, helping: bool = False) -> RowNumbers:
        """RowNumbers of the source, first those that lose least by the move."""
        rows = np.flatnonzero(self.part == source)
        if helping:
            rows = rows[self.gain(source, target, self.weight[rows]) > LEAST]
        return rows[np.argsort(self.vectors(rows) @ (self.centres[source] - self.centres[target]), kind="stable")]

    def gain(self, source: int, target: int, weight: Floats) -> Floats:
        """How much nearer to the bounds the two come when so much weight moves."""
        before = self.bounds.broken(self.load[source]) + self.bounds.broken(self.load[target])
        after = self.bounds.broken(self.load[source] - weight) + self.bounds.broken(self.load[target] + weight)
        return before - after

    def move(self, row: int, target: int) -> None:
        source = self.part[row]
        self.part[row] = target
        self.load[source] -= self.weight[row]
        self.load[target] += self.weight[row]
        self.rows[source] -= 1
        self.rows[target] += 1
