"""The peer k-means-constrained, in its own environment: `python -m bench.clustering_constrained VECTORS CLUSTERS SLACK OUT`."""

import math
import sys

import numpy as np
from k_means_constrained import KMeansConstrained
from numpy.typing import NDArray

from bench.spent import report

ROUNDS = 15
"""Its default is 300 at most."""


def main(vectors: str, clusters: int, slack: float, out: str) -> None:
    rows = np.load(vectors)
    mean = len(rows) / clusters
    means = KMeansConstrained(
        clusters,
        size_min=math.ceil((1 - slack) * mean),
        size_max=math.floor((1 + slack) * mean),
        n_init=1,
        max_iter=ROUNDS,
        random_state=0,
    )
    report(lambda: means.fit_predict(rows), lambda found: _save(out, found))


def _save(out: str, found: NDArray[np.int32]) -> str:
    np.save(out, found)
    return out


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
