"""k-means-constrained in its own environment: `python -m bench.clustering_constrained VECTORS CLUSTERS SLACK ROUNDS OUT`."""

import math
import sys

import numpy as np
from k_means_constrained import KMeansConstrained
from numpy.typing import NDArray

from bench.spent import report


def main(vectors: str, clusters: int, slack: float, rounds: int, out: str) -> None:
    given = np.load(vectors)
    mean = len(given) / clusters
    means = KMeansConstrained(
        clusters,
        size_min=math.ceil((1 - slack) * mean),
        size_max=math.floor((1 + slack) * mean),
        n_init=1,
        max_iter=rounds,
        random_state=0,
    )
    report(lambda: means.fit_predict(given), lambda clusters: _save(out, clusters))


def _save(out: str, found: NDArray[np.int32]) -> str:
    np.save(out, found)
    return out


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
