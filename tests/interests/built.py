"""Prints hashes of clusters and centres that this process computes: `python -m tests.interests.built`."""

import hashlib

import numpy as np

from driftline.contracts import Clusters
from driftline.interests.centres import centres, nearest
from driftline.interests.clusters import build

TEXTS, CLUSTERS = 3_000, 40


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Texts of overlapping topics: many lie nearly as near to one centre as to another. Drawn without BLAS."""
    random = np.random.default_rng(5)
    topics = random.standard_normal((100, 384), dtype=np.float32)
    rows = topics[random.integers(0, 100, TEXTS)] + 2 * random.standard_normal((TEXTS, 384), dtype=np.float32)
    rows /= np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True)).astype(np.float32)
    return rows, random.integers(0, 100, TEXTS)


if __name__ == "__main__":
    rows, traffic = drawn()
    cluster = build(rows, traffic, Clusters(fan_out=(CLUSTERS,)))
    known, middles = centres(rows, cluster, traffic, CLUSTERS)
    results = (rows, cluster, known, middles, *nearest(rows[::2] + rows[1::2], known, middles))
    print(*(hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in results))
