"""What a mapping is held against: chance, and two mappings made by counting (design §3.8, paper §2.2)."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.pairs import Ints, pairs


def chance(n_clusters: int) -> float:
    """Recall of a novel cluster drawn at random: 1 / (|C| − 2).

    Raises:
        BadInput: fewer than 3 clusters leave no novel one.
    """
    if n_clusters < 3:
        raise BadInput(f"{n_clusters} clusters leave no novel one for any pair: use 3 or more")
    return 1 / (n_clusters - 2)


def most_popular(counts: pa.Table, n_clusters: int) -> pa.Table:
    """Baseline mapping: every pair's answer is the most frequent successor overall that is neither c1 nor c2.

    Returns:
        c1, c2, c_next: int32, complete. Equally frequent successors are ordered by a hash of the id.
    """
    c1, c2 = pairs(n_clusters)
    known = triples.read(counts, n_clusters)
    total = np.zeros(n_clusters, dtype=np.int64)
    np.add.at(total, known.c_next, known.n)
    ids = np.arange(n_clusters)
    best = np.lexsort((triples.Triples(ids, ids, ids, total).tie_break(), -total))[:3]
    answer = np.full(len(c1), best[0])
    for candidate in best[1:]:
        taken = (answer == c1) | (answer == c2)
        answer[taken] = candidate
    return _mapping(c1, c2, answer)


def most_frequent(counts: pa.Table, n_clusters: int) -> pa.Table:
    """Baseline mapping: every pair's own most frequent successor; for a pair never seen, the most popular one.

    Returns:
        c1, c2, c_next: int32, complete. Equally frequent successors are ordered by a hash of the triple.
    """
    popular = most_popular(counts, n_clusters)
    known = triples.read(counts, n_clusters)
    pair = known.pair(n_clusters)
    order = np.lexsort((known.tie_break(), -known.n, pair))
    seen, first = np.unique(pair[order], return_index=True)
    answer = popular["c_next"].to_numpy().copy()
    answer[seen] = known.c_next[order][first]
    return _mapping(*pairs(n_clusters), answer)


def _mapping(c1: Ints, c2: Ints, c_next: NDArray[np.integer]) -> pa.Table:
    columns = {"c1": c1, "c2": c2, "c_next": c_next}
    return pa.table({name: column.astype(np.int32) for name, column in columns.items()})
