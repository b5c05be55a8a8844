"""What each step of a training sees: pieces of histories, and the items that they are compared with.

All of it follows from the seed and the number of the step, so that a resumed run needs no memory of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.contracts import Recommender
from driftline.interests.recommender.histories import Histories, last
from driftline.interests.recommender.index import Index
from driftline.interests.recommender.rows import NOTHING, Rows

CHUNKS, NEGATIVES, DROPOUT = range(3)
"""What random numbers are for."""
FLATTEN = 0.75
"""Exponent of an item's events within its interest where items are drawn to compare with: that of word2vec."""


@dataclass(frozen=True)
class Batch:
    """Histories of n users, padded to one length.

    Attributes:
        inputs: [n, L] rows, right-aligned, `NOTHING` where there are none.
        targets: [n, L] the row that came next; `NOTHING` where it is not to be learned.
    """

    inputs: Rows
    targets: Rows


@dataclass(frozen=True)
class Drawn:
    """Items to compare with, [negatives], and the logarithm of how many of each a draw expects."""

    rows: Rows
    log_expected: NDArray[np.float32]


class Batches:
    """The steps of all epochs."""

    def __init__(self, histories: Histories, knobs: Recommender) -> None:
        self._histories, self._knobs = histories, knobs
        self._user = np.repeat(np.arange(len(histories)), np.diff(histories.starts))
        self._new = first_times(histories)
        learned = np.maximum(np.diff(histories.starts) - 1, 0)
        self._long = learned > knobs.length
        most = np.where(self._long, -(-(learned + knobs.length - 1) // knobs.length), np.minimum(learned, 1)).sum()
        self.per_epoch = max(int(-(-most // knobs.batch_size)), 1)
        """Steps of an epoch."""
        self._epoch = -1
        self._first = self._end = np.empty(0, np.int64)

    def of(self, step: int) -> Batch:
        epoch, number = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._cut(epoch)
        pieces = len(self._first)
        part = slice(number * pieces // self.per_epoch, (number + 1) * pieces // self.per_epoch)
        first, end, length, rows = self._first[part], self._end[part], self._knobs.length, self._histories.rows
        begin = self._histories.starts[self._user[first]]
        targets, new = last(rows, first, end, length), last(self._new, first, end, length)
        return Batch(last(rows, begin, end - 1, length), np.where(new == 1, targets, np.int32(NOTHING)))

    def _cut(self, epoch: int) -> None:
        """Cuts each history into pieces of `length` targets, whose inputs reach back as far as there is room. Where it is cut
        differs from epoch to epoch, so that each target is learned with more of a history before it or less."""
        rng = np.random.default_rng([self._knobs.seed, CHUNKS, epoch])
        starts = self._histories.starts
        shift = np.where(self._long, rng.integers(0, self._knobs.length, len(self._long)), 0)
        place = np.arange(len(self._user))
        place = place[place != starts[self._user]]  # nothing comes before a user's first item
        user = self._user[place]
        piece = (starts[user + 1] - 1 - place + shift[user]) // self._knobs.length
        begins = np.flatnonzero((np.diff(user, prepend=-1) != 0) | (np.diff(piece, prepend=-1) != 0))
        first, end = place[begins], np.append(place[begins[1:] - 1], place[-1:]) + 1
        order = rng.permutation(len(first))
        self._first, self._end, self._epoch = first[order], end[order], epoch


def first_times(histories: Histories) -> Rows:
    """Masks first times: 1 where a user takes an item for the first time, else 0. What users have had is never recommended, so
    nothing is learned from their having it again."""
    user = np.repeat(np.arange(len(histories)), np.diff(histories.starts))
    items = int(histories.rows.max(initial=0)) + 1
    _, first = np.unique(user * items + histories.rows, return_index=True)
    found = np.zeros(len(histories.rows), np.int32)
    found[first] = 1
    return found


class Draws:
    """Draws as many items from each interest, in it in proportion to events ** `FLATTEN`, with replacement."""

    def __init__(self, index: Index, events: NDArray[np.int64], knobs: Recommender) -> None:
        weight = events.astype(np.float64) ** FLATTEN * (events > 0)
        of_cluster = np.bincount(index.clusters, weight, len(index.starts) - 1)
        share = weight / np.where(of_cluster > 0, of_cluster, 1)[index.clusters] / max(int(np.count_nonzero(of_cluster)), 1)
        self._knobs, self._until = knobs, np.cumsum(share)
        with np.errstate(divide="ignore"):
            self._log = np.log(knobs.negatives * share).astype(np.float32)

    def of(self, step: int) -> Drawn:
        """Evenly spread draws, so that each interest has its share in every step."""
        rng = np.random.default_rng([self._knobs.seed, NEGATIVES, step])
        count = self._knobs.negatives
        where = (np.arange(count) + rng.random(count)) / count * self._until[-1]
        rows = np.minimum(np.searchsorted(self._until, where, side="right"), len(self._until) - 1).astype(np.int32)
        return Drawn(rows, self._log[rows])
