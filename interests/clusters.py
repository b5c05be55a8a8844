"""Build the cluster set: a balanced, traffic-weighted tree over text embeddings (design §3.3, paper §2.1).

Every node is split into its children by balanced k-means (`interests.partition`). Balance keeps one popular topic from swallowing
half of all transitions, which would leave the LLM nothing to predict.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline import contracts
from driftline.contracts import BadInput
from driftline.interests.grid import on_grid
from driftline.interests.parallel import Chunks, on_all_cores
from driftline.interests.partition import partition
from driftline.interests.rebalancing import Bounds, RowNumbers

WEIGHTLESS = 1e-9
"""Weight of a text without traffic: it may go wherever it fits best."""


def build(embeddings: NDArray[np.float32], traffic: NDArray[np.int64], knobs: contracts.Clusters) -> NDArray[np.int32]:
    """Cluster of every text, int32 [n]; all |C| = prod(fan_out) clusters have at least one text.

    Args:
        embeddings: float32 [n, d], one row per *distinct* text, of length 1.
        traffic: int64 [n], positive events of the items with this text; texts without any still get a cluster.

    A cluster's traffic lies within `slack` of an equal share as far as single texts, which are never divided, allow. A text
    heavier than a share counts as one share, and the share is that of the rest. Children are numbered by descending traffic
    and clusters along the tree, so a cluster's path is `numpy.unravel_index(id, fan_out)` and with one level 0 is the largest.
    The answer does not depend on the order of the rows, the number of cores, nor the kind of processor.

    Raises:
        BadInput: |C| < 4, fewer texts than clusters, or an embedding that is no number.
    """
    n_clusters = math.prod(knobs.fan_out)
    if n_clusters < 4:
        raise BadInput(
            f"fan_out = {list(knobs.fan_out)} makes {n_clusters} clusters; a transition needs 4 or more: raise clusters.fan_out"
        )
    if len(embeddings) < n_clusters:
        raise BadInput(
            f"{len(embeddings)} distinct texts cannot fill {n_clusters} clusters: lower clusters.fan_out, "
            f"which is {list(knobs.fan_out)}, or set source.text to a more detailed text"
        )
    if (lost := np.flatnonzero(~np.isfinite(embeddings).all(axis=1))).size:
        raise BadInput(
            f"{lost.size:,} of {len(embeddings):,} embeddings are no numbers, e.g. that of text {lost[0]}: choose another "
            "clusters.embedding_model"
        )
    with on_all_cores() as chunks:
        tree = _Tree(embeddings, traffic, weights(traffic, n_clusters), knobs.slack, knobs.seed, chunks)
        nodes, below = [tree.canonical()], n_clusters
        for children in knobs.fan_out:
            below //= children
            nodes = [part for node in nodes for part in tree.split(node, children, below)]
    cluster = np.empty(len(embeddings), dtype=np.int32)
    for number, rows in enumerate(nodes):
        cluster[rows] = number
    return cluster


@dataclass(frozen=True)
class _Tree:
    embeddings: NDArray[np.float32]
    traffic: NDArray[np.int64]
    weight: NDArray[np.float64]
    """Traffic in units of an equal share, at most 1."""
    slack: float
    seed: int
    chunks: Chunks

    def canonical(self) -> RowNumbers:
        """The rows in an order that depends on their values only: by traffic, then by a hash of the embedding's bits."""
        factors = np.random.default_rng(0).integers(2**64, size=self.embeddings.shape[1], dtype=np.uint64) | np.uint64(1)

        def hashed(chunk: slice) -> NDArray[np.uint64]:
            found: NDArray[np.uint64] = (np.ascontiguousarray(self.embeddings[chunk]).view(np.uint32) * factors).sum(axis=1)
            return found

        return np.lexsort((np.concatenate(self.chunks.map(hashed, len(self.embeddings))), self.traffic))

    def split(self, rows: RowNumbers, children: int, below: int) -> list[RowNumbers]:
        """A node's children by descending traffic; each is to become `below` clusters."""
        if children == 1:
            return [rows]
        # Groups of clusters get half the slack, so that their own splits have room.
        room = self.slack if below == 1 else self.slack / 2
        bounds = Bounds((1 - room) * below, (1 + room) * below, below)
        part = partition(
            lambda some: on_grid(self.embeddings[rows[some]]), self.weight[rows], children, bounds, self.seed, self.chunks
        )
        members = [np.flatnonzero(part == number) for number in range(children)]
        members.sort(key=lambda part: (-int(self.traffic[rows[part]].sum()), int(part[0])))
        return [rows[part] for part in members]


def weights(traffic: NDArray[np.int64], n_clusters: int) -> NDArray[np.float64]:
    """Traffic in units of the share that a cluster has once every heavier text has a share of its own; heavier texts weigh 1.

    With fewer texts with traffic than clusters there is nothing to balance by, and every text weighs the same.
    """
    if np.count_nonzero(traffic) < n_clusters:
        return np.full(len(traffic), n_clusters / max(len(traffic), 1))
    descending = np.sort(traffic)[::-1]
    rest = traffic.sum() - np.concatenate([[0], np.cumsum(descending[: n_clusters - 1])])
    share = rest / np.arange(n_clusters, 0, -1)
    heavy = int(np.argmax(descending[:n_clusters] <= share))
    weight: NDArray[np.float64] = np.clip(traffic / share[heavy], WEIGHTLESS, 1.0)
    return weight
