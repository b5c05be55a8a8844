"""Who predicts better where: recall by how often the pair was seen in the window that a mapping knew."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from driftline.interests import triples
from driftline.interests.metrics.estimates import Estimate, ratio
from driftline.interests.metrics.recall import answers_of

BOUNDS = (0, 5, 20)
"""The last occurrence of each level but the open one: 0, 1–5, 6–20, more than 20."""


@dataclass(frozen=True)
class Level:
    """Pairs seen between `low` and `high` times (None: any more)."""

    low: int
    high: int | None
    pairs: int
    """Ordered pairs of this support, whether or not the test window has them."""
    triples: int
    """Occurrences in the test window."""
    recalls: dict[str, Estimate]
    """By arm; intervals over the pairs that occur in the test window."""


def recall_by_support(
    mappings: Mapping[str, pa.Table], counts: pa.Table, test_counts: pa.Table, n_clusters: int
) -> tuple[Level, ...]:
    """Test-set recall of each mapping (design §3.8) over pairs of similar support.

    Args:
        mappings: by arm, c1, c2, c_next: int32; complete.
        counts: c1, c2, c_next: int32, n: int64; the window that the mappings knew.
        test_counts: the same of the test window.

    Raises:
        ValueError: a mapping does not answer every pair.
    """
    pairs = n_clusters * (n_clusters - 1)
    known, test = triples.read(counts, n_clusters), triples.read(test_counts, n_clusters)
    level = np.searchsorted(BOUNDS, np.bincount(known.pair(n_clusters), known.n, pairs), side="left")
    pair = test.pair(n_clusters)
    of_pair = np.bincount(pair, test.n, pairs)
    hits = {
        arm: np.bincount(pair, test.n * (answers_of(mapping, n_clusters)[pair] == test.c_next), pairs)
        for arm, mapping in mappings.items()
    }
    lows, highs = (0, *(bound + 1 for bound in BOUNDS)), (*BOUNDS, None)
    return tuple(
        Level(
            low=low,
            high=high,
            pairs=int((there := level == place).sum()),
            triples=int(of_pair[there].sum()),
            recalls={arm: ratio(hit[there], of_pair[there]) for arm, hit in hits.items()},
        )
        for place, (low, high) in enumerate(zip(lows, highs, strict=True))
    )
