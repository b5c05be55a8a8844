"""Fine-tuning samples: the most frequent pairs of every label (design §3.4, paper §2.2); and what a training is validated on."""

import numpy as np
import pyarrow as pa

from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.pairs import Ints, pairs


def curate(counts: pa.Table, pairs_per_label: int, prompts_per_interest: int = 0) -> pa.Table:
    """Selects, for each label c_next, its `pairs_per_label` most frequent pairs: a uniform label distribution.

    The most frequent pairs are pairs of popular clusters; of the others a prompt would never speak. Each cluster that fewer than
    `prompts_per_interest` of these samples have as c1 gets its most frequent other triples as well; then the same for c2.

    Args:
        counts: c1, c2, c_next: int32, n: int64; the training window.

    Returns:
        c1, c2, c_next: int32, n: int64; ordered by label, most frequent first, then what was added. Equally frequent pairs are
        ordered by a hash of the triple, so that low ids are not favoured and the order of the rows does not matter.

    Raises:
        BadInput: there is no triple to learn from.
    """
    if counts.num_rows == 0:
        raise BadInput(
            "no triple in the training window, so there is nothing to learn from: widen the window or check source.positive"
        )
    found = triples.read(counts)
    every = np.arange(counts.num_rows)
    kept = _most_frequent(found, every, found.c_next, np.full(len(every), pairs_per_label))
    for place in (found.c1, found.c2):
        missing = prompts_per_interest - np.bincount(place[kept], minlength=int(place.max()) + 1)[place]
        kept = np.concatenate([kept, _most_frequent(found, np.setdiff1d(every, kept), place, missing)])
    return counts.select(["c1", "c2", "c_next", "n"]).take(pa.array(kept))


def _most_frequent(found: triples.Triples, rows: Ints, of: Ints, wanted: Ints) -> Ints:
    """Ranks the `rows` with the same value in `of` by frequency, and takes the first `wanted` of each; they agree about it."""
    order = rows[np.lexsort((found.tie_break()[rows], -found.n[rows], of[rows]))]
    rank = np.arange(len(order)) - np.searchsorted(of[order], of[order], side="left")
    kept: Ints = order[rank < wanted[order]]
    return kept


def thin(samples: pa.Table, size: int) -> pa.Table:
    """Keeps at most `size` of the samples, evenly spread over their order: of every label as many, as far as that goes."""
    rows = samples.num_rows
    return samples if rows <= size else samples.take(pa.array(np.arange(size) * rows // size))


def draw_pairs(n_clusters: int, size: int) -> pa.Table:
    """Draws at most `size` of all ordered pairs, by a hash: the same ones for the same |C|.

    Returns:
        c1, c2: int32; by ascending (c1, c2).
    """
    c1, c2 = pairs(n_clusters)
    drawn = np.sort(np.argsort(triples.Triples(c1, c2, np.zeros_like(c1), c1).tie_break(), kind="stable")[:size])
    return pa.table({"c1": pa.array(c1[drawn].astype(np.int32)), "c2": pa.array(c2[drawn].astype(np.int32))})


def missing_labels(samples: pa.Table, n_clusters: int) -> list[int]:
    """Clusters that no sample teaches: in the training window they never followed a pair."""
    return sorted(set(range(n_clusters)) - set(samples["c_next"].to_pylist()))
