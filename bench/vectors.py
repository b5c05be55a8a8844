"""Vectors and traffic to cluster: made up, and like the sentence embeddings of real catalogues where clustering feels it.

They lie on the unit sphere around 3,000 topics of unequal size, in 60 fields. Topics overlap: a vector's own part is larger
than what sets its topic off, and some directions are stronger than others. Beside three real catalogues embedded with
all-MiniLM-L6-v2, in brackets: the square of the mean is 0.17 (0.15 to 0.22), the variance is that of 96 equal directions (39 to
152), and with 50 vectors per cluster k-means leaves 0.74 of it inside the clusters (0.59 to 0.83).

Traffic is log-normal, and an eighth has none. No text has more than half a cluster's share: none could divide it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 384
FIELDS, TOPICS = 60, 3000
CHUNK = 65_536


def write_vectors(path: Path, n: int, seed: int = 0) -> None:
    """float32 [n, 384], rows of length 1, as `.npy`."""
    rng = np.random.default_rng(seed)
    strength = np.arange(1, DIMENSIONS + 1, dtype=np.float32) ** -0.35
    fields = rng.standard_normal((FIELDS, DIMENSIONS), dtype=np.float32)
    topics = 0.8 * fields[rng.integers(0, FIELDS, TOPICS)] + rng.standard_normal((TOPICS, DIMENSIONS), dtype=np.float32)
    size = rng.lognormal(0, 1, TOPICS)
    mean = 0.75 * rng.standard_normal(DIMENSIONS, dtype=np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIMENSIONS))
    for begin in range(0, n, CHUNK):
        topic = rng.choice(TOPICS, min(CHUNK, n - begin), p=size / size.sum())
        rows = mean + topics[topic] + 1.2 * rng.standard_normal((len(topic), DIMENSIONS), dtype=np.float32)
        rows *= strength
        out[begin : begin + CHUNK] = rows / np.linalg.norm(rows, axis=1, keepdims=True)


def traffic(n: int, clusters: int, seed: int = 0) -> NDArray[np.int64]:
    """int64 [n]."""
    drawn = 10 * np.random.default_rng(seed).lognormal(0, 2, n)
    capped: NDArray[np.int64] = np.minimum(drawn, 0.5 * drawn.sum() / clusters).astype(np.int64)
    return capped
