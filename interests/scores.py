"""What the LLM says of every answer to every ordered pair: log-probabilities of the descriptions."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.interests.pairs import Ints, pairs_of

Floats = NDArray[np.float64]

UNSURE = 0.1
"""Share of what an LLM says that is spread evenly; chosen by the likelihood of validation windows (docs/adr/0025)."""


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of every ordered pair's likeliest answers, and the mass left for the others; by the pair's number.

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

    @staticmethod
    def of(table: pa.Table, n_clusters: int) -> "Scores":
        """Unpacks the lists of a table of scores into arrays.

        Args:
            table: answer: list<int32>, log_p: list<float32>, log_rest: float32; of every pair, by number.
        """
        answers = table["answer"].combine_chunks()
        length = np.diff(answers.offsets.to_numpy())
        row = np.repeat(np.arange(len(length)), length)
        column = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        answer = np.full((len(length), int(length.max(initial=0))), -1)
        log_p = np.zeros(answer.shape)
        answer[row, column] = answers.flatten().to_numpy()
        log_p[row, column] = table["log_p"].combine_chunks().flatten().to_numpy()
        return Scores(n_clusters, answer, log_p, table["log_rest"].to_numpy().astype(np.float64))

    def smoothed(self) -> "Scores":
        """Spreads a share of every row's mass evenly over its novel clusters: a fine-tuned LLM is surer than it is right."""
        novel, known = self.n_clusters - 2, (self.answer >= 0).sum(axis=1)
        log_p = np.log((1 - UNSURE) * np.exp(self.log_p) + UNSURE / novel)
        with np.errstate(divide="ignore"):
            log_rest = np.log((1 - UNSURE) * np.exp(self.log_rest) + UNSURE * (novel - known) / novel)
        return Scores(self.n_clusters, self.answer, log_p, log_rest)

    def dense(self, pairs: Ints) -> Floats:
        """log p of every cluster, [requests, |C|]. What is left is shared evenly; −inf for the pair's own two."""
        answer, log_p = self.answer[pairs], self.log_p[pairs]
        c1, c2 = pairs_of(pairs, self.n_clusters)
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


def of_answers(scores: pa.Table, c_next: pa.ChunkedArray) -> pa.Array:
    """float32: log p of one cluster of each row of a table of scores (`Scores.of`); null where it has none."""
    answers = scores["answer"].combine_chunks()
    row = np.repeat(np.arange(len(c_next)), np.diff(answers.offsets.to_numpy()))
    hit = answers.flatten().to_numpy() == c_next.to_numpy()[row]
    found = np.full(len(c_next), np.nan, dtype=np.float32)
    found[row[hit]] = scores["log_p"].combine_chunks().flatten().to_numpy()[hit]
    return pa.array(found, from_pandas=True)
