"""Logs whose truth is known: successors drawn from a softmax of popularity, both clusters' pull and the pair's own."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.interests import triples
from driftline.interests.pairs import pairs
from driftline.interests.scores import Scores

Floats = NDArray[np.float64]


class World:
    """
    Attributes:
        pull: [pairs, |C|] the part of the logits that belongs to the pair alone; standard deviation `pair`. That of what belongs
            to one cluster and its successor is `single`.
        p: [pairs, |C|] the true distribution of what comes next.
    """

    def __init__(self, n_clusters: int, seed: int, pair: float = 0.5, single: float = 0.7) -> None:
        self.rng = np.random.default_rng(seed)
        self.n_clusters = n_clusters
        self.c1, self.c2 = pairs(n_clusters)
        n = len(self.c1)
        normal = self.rng.normal
        self.pull = normal(size=(n, n_clusters)) * pair
        first, second = normal(size=(2, n_clusters, n_clusters)) * single
        self.p = self._softmax(normal(size=n_clusters) + first[self.c1] + second[self.c2] + self.pull)
        self.weight = self.rng.dirichlet(np.ones(n))

    def draw(self, n: int) -> pa.Table:
        """Counts of so many triples."""
        drawn = [self.rng.multinomial(times, p) for times, p in zip(self.rng.multinomial(n, self.weight), self.p, strict=True)]
        dense = np.stack(drawn)
        pair, c_next = np.nonzero(dense)
        ids = {"c1": self.c1[pair], "c2": self.c2[pair], "c_next": c_next}
        columns = {name: pa.array(column.astype(np.int32)) for name, column in ids.items()}
        return pa.table(columns | {"n": pa.array(dense[pair, c_next].astype(np.int64))})

    def dense(self, counts: pa.Table) -> NDArray[np.int64]:
        """n, [pairs, |C|]."""
        found = np.zeros(self.p.shape, dtype=np.int64)
        known = triples.read(counts, self.n_clusters)
        np.add.at(found, (known.pair(self.n_clusters), known.c_next), known.n)
        return found

    def llm(self, knows: float, noise: float = 0.3) -> Scores:
        """An LLM that knows so much of the pair's own pull, beside a taste of its own for clusters as such."""
        taste, mist = self.rng.normal(size=self.n_clusters), self.rng.normal(size=self.pull.shape) * noise
        return all_scores(np.log(np.maximum(self._softmax(knows * self.pull + taste + mist), 1e-300)), self.n_clusters)

    def _softmax(self, logits: Floats) -> Floats:
        rows = np.arange(len(logits))
        logits[rows, self.c1] = logits[rows, self.c2] = -np.inf
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Floats = likely / likely.sum(axis=1, keepdims=True)
        return found


def all_scores(log_p: Floats, n_clusters: int, k: int | None = None) -> Scores:
    """Scores of log p [pairs, |C|]: of all novel clusters, or of the k likeliest and the mass that is left."""
    k = n_clusters - 2 if k is None else k
    order = np.argsort(-log_p, axis=1)[:, :k]
    best = np.take_along_axis(log_p, order, axis=1)
    with np.errstate(divide="ignore"):
        return Scores(n_clusters, order, best, np.log(np.maximum(1 - np.exp(best).sum(axis=1), 0)))
