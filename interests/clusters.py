"""Build the cluster set: a balanced, traffic-weighted tree over text embeddings (design §3.3, paper §2.1).

A node is split into its children by bisection: 2-means finds the natural boundary between two topics, each side gets the number
of children that its traffic is worth, and the cut moves along the line between the two centres as far as balance asks. Then
the siblings trade single texts for closer ones within the same bounds. Balance keeps one popular topic from swallowing half of
all transitions, which would leave the LLM nothing to predict.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

import contracts

Rows = NDArray[np.intp]
WEIGHTLESS = 1e-9
"""Weight of a text without traffic: it may go wherever it fits best."""
TRADES = 20
"""Rounds in which siblings trade texts; they usually stop by themselves earlier."""


@dataclass(frozen=True)
class _Texts:
    vectors: NDArray[np.float64]
    weight: NDArray[np.float64]
    """Traffic in units of an equal share, at most 1."""
    slack: float
    seed: int


def build(embeddings: NDArray[np.float32], traffic: NDArray[np.int64], knobs: contracts.Clusters) -> NDArray[np.int32]:
    """Cluster of every text, int32 [n]; all |C| = prod(fan_out) clusters have at least one text.

    Args:
        embeddings: float32 [n, d], one row per *distinct* text, of length 1.
        traffic: int64 [n], positive events of the items with this text; texts without any still get a cluster.

    A cluster's traffic lies within `slack` of an equal share as far as single texts, which are never divided, allow. A text
    heavier than a share counts as one share, and the share is that of the rest. Children are numbered by descending traffic
    and clusters along the tree, so a cluster's path is `numpy.unravel_index(id, fan_out)` and with one level 0 is the largest.
    The answer does not depend on the order of the rows.

    Raises:
        ValueError: |C| < 4, or fewer texts than clusters.
    """
    n_clusters = math.prod(knobs.fan_out)
    if n_clusters < 4:
        raise ValueError(
            f"fan_out = {list(knobs.fan_out)} makes {n_clusters} clusters; a transition needs 4 or more: raise clusters.fan_out"
        )
    if len(embeddings) < n_clusters:
        raise ValueError(
            f"{len(embeddings)} distinct texts cannot fill {n_clusters} clusters: lower clusters.fan_out, "
            f"which is {list(knobs.fan_out)}, or set source.text to a more detailed text"
        )
    order = _canonical(embeddings, traffic)
    traffic = traffic[order]
    texts = _Texts(embeddings[order].astype(np.float64), _weights(traffic, n_clusters), knobs.slack, knobs.seed)
    leaves = [np.arange(len(order))]
    below = n_clusters
    with threadpool_limits(limits=1):  # sums over threads come in no fixed order, so neither would the clusters
        for children in knobs.fan_out:
            below //= children
            leaves = [part for node in leaves for part in _split(texts, traffic, node, children, below)]
    cluster = np.empty(len(order), dtype=np.int32)
    for number, rows in enumerate(leaves):
        cluster[order[rows]] = number
    return cluster


def _canonical(embeddings: NDArray[np.float32], traffic: NDArray[np.int64]) -> Rows:
    """An order of the rows that depends on their values only."""
    return np.lexsort((*embeddings.T[::-1], traffic))


def _weights(traffic: NDArray[np.int64], n_clusters: int) -> NDArray[np.float64]:
    """Traffic in units of the share that a cluster has once every heavier text has a share of its own; heavier texts weigh 1.

    With fewer texts with traffic than clusters there is nothing to balance by, and every text weighs the same.
    """
    if np.count_nonzero(traffic) < n_clusters:
        return np.full(len(traffic), n_clusters / len(traffic))
    descending = np.sort(traffic)[::-1]
    rest = traffic.sum() - np.concatenate([[0], np.cumsum(descending[: n_clusters - 1])])
    share = rest / np.arange(n_clusters, 0, -1)
    heavy = int(np.argmax(descending[:n_clusters] <= share))
    weight: NDArray[np.float64] = np.clip(traffic / share[heavy], WEIGHTLESS, 1.0)
    return weight


def _split(texts: _Texts, traffic: NDArray[np.int64], rows: Rows, children: int, below: int) -> list[Rows]:
    """A node's children by descending traffic; each is to become `below` clusters."""
    parts = _trade(texts, _bisect(texts, rows, children, below), below)
    return sorted(parts, key=lambda part: (-int(traffic[part].sum()), int(part[0])))


def _bisect(texts: _Texts, rows: Rows, children: int, below: int) -> list[Rows]:
    if children == 1:
        return [rows]
    weight = texts.weight[rows]
    order, natural = _line(texts, rows)
    left = np.cumsum(weight[order])[:-1]  # weight left of a cut after row i
    size = int(np.clip(round(children * left[natural] / weight.sum()), 1, children - 1))
    cut = _cut(left, weight.sum(), natural, (size, children - size), below, texts.slack)
    near, far = np.sort(rows[order[: cut + 1]]), np.sort(rows[order[cut + 1 :]])
    return _bisect(texts, near, size, below) + _bisect(texts, far, children - size, below)


def _line(texts: _Texts, rows: Rows) -> tuple[Rows, int]:
    """The rows ordered along the line between the two centres of 2-means, and the last one on the first centre's side."""
    from sklearn.cluster import KMeans  # here, because it takes a second that every command would pay

    vectors, weight = texts.vectors[rows], texts.weight[rows]
    if (vectors == vectors[0]).all():
        return np.arange(len(rows)), (len(rows) - 1) // 2
    means = KMeans(2, n_init=3, random_state=texts.seed).fit(vectors, sample_weight=weight + weight.mean() / 10)
    along = vectors @ (means.cluster_centers_[1] - means.cluster_centers_[0])
    near = int(np.count_nonzero(means.labels_ == 0))
    return np.argsort(along, kind="stable"), min(max(near, 1), len(rows) - 1) - 1


def _cut(left: NDArray[np.float64], total: float, natural: int, sizes: tuple[int, int], below: int, slack: float) -> int:
    """The cut nearest to the natural one among those that break the bounds least and leave a text for every cluster."""
    broken = np.zeros(len(left))
    for weight, size in ((left, sizes[0]), (total - left, sizes[1])):
        low, high = _bounds(size, below, slack)
        broken += np.maximum(low - weight, 0) + np.maximum(weight - high, 0)
    cuts = np.arange(len(left))
    broken[(cuts + 1 < sizes[0] * below) | (len(left) - cuts < sizes[1] * below)] = np.inf
    return int(np.lexsort((np.abs(cuts - natural), np.round(broken, 9)))[0])


def _bounds(children: int, below: int, slack: float) -> tuple[float, float]:
    """Least and most weight of a group of nodes. Groups of clusters get half the slack, so that their own splits have room."""
    leaves = children * below
    room = slack if leaves == 1 else slack / 2
    return (1 - room) * leaves, (1 + room) * leaves


def _trade(texts: _Texts, parts: list[Rows], below: int) -> list[Rows]:
    """Let texts move to the sibling with the closest centre, most to gain first, where both stay within their bounds."""
    rows = np.sort(np.concatenate(parts))
    part = np.empty(len(texts.weight), dtype=np.intp)
    for number, members in enumerate(parts):
        part[members] = number
    part = part[rows]
    vectors, weight = texts.vectors[rows], texts.weight[rows]
    low, high = _bounds(1, below, texts.slack)
    for _ in range(TRADES):
        members = csr_array((weight + 1e-3, (part, np.arange(len(rows)))), shape=(len(parts), len(rows)))
        centres = members @ vectors
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        similarity = vectors @ centres.T
        best = similarity.argmax(axis=1)
        gain = similarity.max(axis=1) - similarity[np.arange(len(rows)), part]
        load, texts_in = np.bincount(part, weight, len(parts)), np.bincount(part, minlength=len(parts))
        moved = 0
        for row in np.argsort(-gain, kind="stable"):
            if gain[row] <= 1e-9:
                break
            source, target, w = part[row], best[row], weight[row]
            if texts_in[source] > below and (w <= WEIGHTLESS or (load[source] - w >= low and load[target] + w <= high)):
                part[row] = target
                load[source] -= w
                load[target] += w
                texts_in[source] -= 1
                texts_in[target] += 1
                moved += 1
        if not moved:
            break
    return [rows[part == number] for number in range(len(parts))]
