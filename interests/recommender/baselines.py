"""What a sequence recommender has to beat: the most popular items, and those that most often came after the last one."""

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from driftline.interests.recommender.histories import Histories
from driftline.interests.recommender.rows import NOTHING, Rows

Floats32 = NDArray[np.float32]
STEPS = 3
"""How many steps after an item another one counts as visited with it."""


def popularity(histories: Histories, n_items: int) -> NDArray[np.int64]:
    """Users who took each item; int64 [items]. Who takes one thing often is one user."""
    user = np.repeat(np.arange(len(histories)), np.diff(histories.starts))
    pairs = np.unique(user * n_items + histories.rows) if n_items else np.empty(0, np.int64)
    return np.bincount(pairs % max(n_items, 1), minlength=n_items)


def lately(histories: Histories, n_items: int, end: datetime, half_life: float) -> NDArray[np.float64]:
    """The same by how long ago: a user's weight halves with every `half_life` days between their last time and `end`; in all as
    much as `popularity` counts."""
    user = np.repeat(np.arange(len(histories)), np.diff(histories.starts))
    newest_first = (user * n_items + histories.rows)[::-1]
    pairs, newest = np.unique(newest_first, return_index=True)
    if not len(pairs):
        return np.zeros(n_items)
    days = (np.datetime64(end.replace(tzinfo=None), "us") - histories.times[::-1][newest]) / np.timedelta64(1, "D")
    weight = np.exp2(-(days - days.min()) / half_life)
    return np.asarray(np.bincount(pairs % n_items, weight * len(pairs) / weight.sum(), n_items), np.float64)


def covisits(histories: Histories, n_items: int) -> csr_matrix:
    """How often an item (column) came within `STEPS` steps after another (row) in one user's history."""
    user = np.repeat(np.arange(len(histories)), np.diff(histories.starts))
    first, second = [], []
    for gap in range(1, STEPS + 1):
        same = user[gap:] == user[:-gap]
        first.append(histories.rows[:-gap][same])
        second.append(histories.rows[gap:][same])
    ones = np.ones(sum(map(len, first)), np.float32)
    return csr_matrix((ones, (np.concatenate(first), np.concatenate(second))), shape=(n_items, n_items))


def covisited(visits: csr_matrix, popular: NDArray[np.int64], newest: Rows, rows: slice) -> Floats32:
    """Scores by the newest item of each request: co-visits, and below any of those popularity; [requests, items]."""
    tail = popular[rows] / (popular.max() + 1.0)
    known = np.where(newest == NOTHING, 0, newest)
    found = np.asarray(visits[known][:, rows].todense(), np.float32)
    scores: Floats32 = np.where((newest == NOTHING)[:, None], np.float32(0), found) + tail.astype(np.float32)
    return scores
