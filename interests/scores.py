"""What the LLM says of every answer to every ordered pair: log-probabilities of the descriptions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.interests.triples import Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Of every ordered pair, by number, the likeliest answers, and what is left for the others.

    Attributes:
        n_clusters: |C|.
        answer: int64 [pairs, k]: clusters, each at most once in a row; −1 where there are fewer.
        log_p: float64 [pairs, k]: log p of their descriptions; anything where `answer` is −1.
        log_rest: float64 [pairs]: log of the mass of all other novel clusters together; −inf where none is left.
    """

    n_clusters: int
    answer: Ints
    log_p: Floats
    log_rest: Floats

    def dense(self, pairs: Ints) -> Floats:
        """log p of every cluster, [pairs asked, |C|]. What is left is shared evenly; −inf for the pair's own two."""
        answer, log_p = self.answer[pairs], self.log_p[pairs]
        c1, c2 = np.divmod(pairs, self.n_clusters - 1)
        c2 += c2 >= c1
        rows = np.arange(len(pairs))
        known = answer >= 0
        others = self.n_clusters - 2 - known.sum(axis=1)
        share = np.where(others > 0, self.log_rest[pairs] - np.log(np.maximum(others, 1)), -np.inf)
        # An answer of the list is never less likely than what is beside it: beams may leave more mass than that.
        share = np.minimum(share, np.where(known, log_p, np.inf).min(axis=1))
        found = np.repeat(share[:, None], self.n_clusters, axis=1)
        row, column = np.nonzero(known)
        found[row, answer[row, column]] = log_p[row, column]
        found[rows, c1] = found[rows, c2] = -np.inf
        return found
