"""The best items of one interest for many users: exact, a slice of the index at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.interests.recommender.rows import NOTHING, Rows

Floats32 = NDArray[np.float32]
Score = Callable[[NDArray[np.int64], slice], Floats32]
"""Scores of these requests (by number) for the items of a slice of the index: [requests, items]."""
CELLS = 4_000_000
"""Scores that are held at once."""


@dataclass(frozen=True)
class Ranked:
    """The best first: rows [n, top], `NOTHING` where there are no more, and their scores."""

    rows: Rows
    scores: Floats32


def best(starts: NDArray[np.int64], clusters: NDArray[np.int64], hidden: Sequence[Rows], score: Score, top: int) -> Ranked:
    """Ranks up to `top` items of each request's cluster. Of equal scores the lower row comes first.

    Args:
        starts: of the index: where each cluster's rows begin, and where the last one's end.
        clusters: of each request; −1: any item of the index.
        hidden: rows that a request must not get, such as those that its user has had.
        score: called for all requests of a cluster together.
    """
    found = Ranked(np.full((len(clusters), top), NOTHING, np.int32), np.full((len(clusters), top), -np.inf, np.float32))
    for cluster in np.unique(clusters):
        rows = slice(0, int(starts[-1])) if cluster < 0 else slice(int(starts[cluster]), int(starts[cluster + 1]))
        width, of = rows.stop - rows.start, np.flatnonzero(clusters == cluster)
        for part in np.array_split(of, -(-len(of) * max(width, 1) // CELLS)) if width else ():
            scores = score(part, rows).astype(np.float32, copy=True)
            for line, request in zip(scores, part, strict=True):
                gone = hidden[request]
                line[gone[(gone >= rows.start) & (gone < rows.stop)] - rows.start] = -np.inf
            places, values = _top(scores, min(top, width))
            found.rows[part, : places.shape[1]] = np.where(np.isneginf(values), NOTHING, places + rows.start)
            found.scores[part, : places.shape[1]] = values
    return found


def _top(scores: Floats32, top: int) -> tuple[NDArray[np.int64], Floats32]:
    """Places and values of the `top` largest of each line, largest first."""
    if top < scores.shape[1] // 8:
        # As good as the last one that is kept, so that ties at the edge are broken by the row, too.
        edge = np.partition(scores, -top, axis=1)[:, -top]
        candidates = [np.flatnonzero(line >= bound) for line, bound in zip(scores, edge, strict=True)]
        places = np.array([c[np.argsort(-line[c], kind="stable")[:top]] for c, line in zip(candidates, scores, strict=True)])
    else:
        places = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return places, np.take_along_axis(scores, places, axis=1)
