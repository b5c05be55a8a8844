"""What each user has taken, in order of time, as rows of an index."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftline.interests.recommender.rows import NOTHING, Rows


@dataclass(frozen=True)
class Histories:
    """Items of each user in order of time.

    Attributes:
        users: string [u], ascending.
        starts: int64 [u + 1]: the rows of user i are `rows[starts[i] : starts[i + 1]]`.
        rows: int32, oldest first.
        times: datetime64[us] of each row.
    """

    users: pa.Array
    starts: NDArray[np.int64]
    rows: Rows
    times: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.users)

    def of(self, user: int) -> Rows:
        return self.rows[self.starts[user] : self.starts[user + 1]]

    def between(self, start: datetime | None, end: datetime | None) -> "Histories":
        """What happened in [start, end), in UTC; users keep their places, also those of whom nothing is left."""
        kept = np.ones(len(self.rows), dtype=bool)
        if start is not None:
            kept &= self.times >= np.datetime64(start.replace(tzinfo=None), "us")
        if end is not None:
            kept &= self.times < np.datetime64(end.replace(tzinfo=None), "us")
        left = np.concatenate([[0], np.cumsum(kept)])[self.starts]
        return Histories(self.users, left, self.rows[kept], self.times[kept])

    def last(self, users: NDArray[np.int64], length: int) -> Rows:
        """The newest `length` rows of each of these users, [users, length], `NOTHING` before the first."""
        return last(self.rows, self.starts[users], self.starts[users + 1], length)


def last(rows: Rows, begin: NDArray[np.int64], end: NDArray[np.int64], length: int) -> Rows:
    """The newest `length` rows of each span, right-aligned."""
    place = end[:, None] + np.arange(-length, 0)
    inside = place >= begin[:, None]
    if not len(rows):
        return np.full(place.shape, NOTHING, np.int32)
    return np.where(inside, rows[np.maximum(place, 0)], NOTHING).astype(np.int32)


def read(steps: pa.Table) -> Histories:
    """Groups steps (user, cluster: the row, ts) by user; ordered by user and place, as `read_sequences` gives them."""
    user = steps["user"].combine_chunks()
    users = pc.unique(user)
    number = pc.index_in(user, value_set=users).to_numpy(zero_copy_only=False)
    starts = np.searchsorted(number, np.arange(len(users) + 1)).astype(np.int64)
    rows, times = steps["cluster"].to_numpy().astype(np.int32), steps["ts"].to_numpy().astype("datetime64[us]")
    return Histories(users, starts, rows, times)
