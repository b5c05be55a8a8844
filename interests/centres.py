"""The middle of every cluster, and which cluster a new item is nearest to (design §3.3)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests.clusters import weights
from driftline.interests.grid import FINE, on_grid

Vectors = NDArray[np.float32]
Ids = NDArray[np.int32]

ROWS = 4096
"""Texts that are worked on at once."""


def centres(embeddings: Vectors, cluster: Ids, traffic: NDArray[np.int64], n_clusters: int) -> tuple[Ids, Vectors]:
    """Mean embedding of each cluster's texts, weighted by traffic as `clusters.build` weighs it, and made of length 1.

    Args:
        embeddings: float32 [n, d], rows of length 1; a row per text, or per text and cluster where a text is in several.
        cluster: int32 [n].
        traffic: int64 [n], positive events.

    Returns:
        The clusters that have a text, int32 [k], and their centres, float32 [k, d].
    """
    weight, total = weights(traffic, n_clusters), np.zeros((n_clusters, embeddings.shape[1]))
    for part in _parts(len(embeddings)):
        np.add.at(total, cluster[part], embeddings[part] * weight[part, None])
    length = np.linalg.norm(total, axis=1)
    known = np.flatnonzero(length > 0)
    return known.astype(np.int32), (total[known] / length[known, None]).astype(np.float32)


def nearest(embeddings: Vectors, clusters: Ids, centres: Vectors) -> tuple[Ids, Vectors]:
    """Cluster of the nearest centre by cosine, int32 [n], and that cosine, float32 [n]; of equally near ones the lowest id.

    The same on every processor (`interests.grid`).

    Args:
        embeddings: float32 [n, d], rows of length 1.
        clusters, centres: int32 [k] ascending and float32 [k, d], as `centres` gives them.

    Raises:
        BadInput: there is no centre, or the embeddings are of another model.
    """
    if not len(clusters):
        raise BadInput("no item of the cluster set has a text in source.items: check source.catalogue_item and source.text")
    if embeddings.shape[1] != centres.shape[1]:
        raise BadInput(
            f"the embeddings have {embeddings.shape[1]} numbers and the cluster set's centres {centres.shape[1]}: the embedding "
            "model is another one by now; bring the old one back, or make a new set with `driftline clusters build`"
        )
    found, cosine = np.empty(len(embeddings), np.int32), np.empty(len(embeddings), np.float32)
    places = on_grid(centres, FINE).T.astype(np.float64)
    for part in _parts(len(embeddings)):
        near = on_grid(embeddings[part], FINE).astype(np.float64) @ places
        best = near.argmax(axis=1)
        found[part], cosine[part] = clusters[best], np.take_along_axis(near, best[:, None], axis=1)[:, 0]
    return found, cosine


def _parts(rows: int) -> Iterator[slice]:
    return (slice(begin, begin + ROWS) for begin in range(0, rows, ROWS))
