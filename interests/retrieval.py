"""Retrieval of the successors on a RAG prompt's extra line, from a window's counts (design §3.6, paper §2.3)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline import contracts
from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.pairs import Ints, pair_count
from driftline.interests.triples import Triples


@dataclass(frozen=True)
class Retrieved:
    similarity: contracts.Similarity
    successors: pa.ListArray
    """list<int32>: of every ordered pair, by number, the retrieved successors, best first; empty with granularity `global`."""
    triples: pa.Table
    """c1, c2, c_next: int32: the one list that every prompt shares, best first; empty with granularity `instance`."""
    unseen: int
    """Ordered pairs whose prompt has no retrieved line."""


def retrieve(counts: pa.Table, previous: pa.Table | None, retrieval: contracts.Retrieval, n_clusters: int) -> Retrieved:
    """Ranks a window's successors of each pair, or with granularity `global` its triples, and keeps the first.

    `frequency` ranks by n(c1, c2, c). `trend` ranks by the signed change of a share since the window before: for `instance` the
    successor's share of its pair, n(c1, c2, c) / n(c1, c2, ·); for `global` the triple's share of the whole window. `trend` ranks
    only pairs with `min_support` occurrences in both windows together, and never retrieves a share that fell; what was not seen
    in the window before had a share of 0. Equals are ordered by frequency, then by a hash of the triple.

    A pair never seen in the window, or by `trend` too rarely, gets no successor.

    Args:
        counts: c1, c2, c_next: int32, n: int64; the window.
        previous: the same of the window before; `trend` needs it.

    Raises:
        BadInput: the window has no triple, or `trend` has no window before.
    """
    if counts.num_rows == 0:
        raise BadInput(
            "no triple in the retrieval window, so there is nothing to retrieve: widen the window or check source.positive"
        )
    found = triples.read(counts, n_clusters)
    pair = found.pair(n_clusters)
    score, ranked = found.n.astype(np.float64), np.ones(len(pair), dtype=np.bool_)
    if retrieval.similarity == "trend":
        if previous is None:
            raise BadInput("retrieval.similarity = 'trend' compares with the window before: pass its counts")
        score, ranked = _change(found, triples.read(previous, n_clusters), retrieval, n_clusters)
    order = np.lexsort((found.tie_break(), -found.n, -score))
    order = order[ranked[order]]
    n_pairs = pair_count(n_clusters)
    if retrieval.granularity == "global":
        best = counts.select(["c1", "c2", "c_next"]).take(pa.array(order[: retrieval.global_triples]))
        return Retrieved(retrieval.similarity, _lists(pair[:0], found.c_next[:0], n_pairs), best, 0 if best.num_rows else n_pairs)
    order = order[np.argsort(pair[order], kind="stable")]
    rank = np.arange(len(order)) - np.searchsorted(pair[order], pair[order], side="left")
    order = order[rank < retrieval.top_k]
    unseen = n_pairs - len(np.unique(pair[order]))
    return Retrieved(
        retrieval.similarity, _lists(pair[order], found.c_next[order], n_pairs), counts.select(["c1", "c2", "c_next"])[:0], unseen
    )


def _change(
    now: Triples, before: Triples, retrieval: contracts.Retrieval, n_clusters: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Signed change of each present triple's share, and whether it may be retrieved."""
    pair, pair_before = now.pair(n_clusters), before.pair(n_clusters)
    seen = np.zeros((2, pair_count(n_clusters)), dtype=np.int64)
    np.add.at(seen[0], pair, now.n)
    np.add.at(seen[1], pair_before, before.n)
    n_before = _look_up(pair * n_clusters + now.c_next, pair_before * n_clusters + before.c_next, before.n)
    if retrieval.granularity == "instance":
        whole, whole_before = seen[0][pair], seen[1][pair]
    else:
        whole, whole_before = np.full(len(pair), now.n.sum()), np.full(len(pair), before.n.sum())
    change = np.round(now.n / whole - n_before / np.maximum(whole_before, 1), 12)
    grown = change >= 0 if retrieval.granularity == "instance" else change > 0
    return change, grown & (seen.sum(axis=0)[pair] >= retrieval.min_support)


def _look_up(keys: Ints, known: Ints, values: Ints) -> Ints:
    """The value of each key, 0 where it is not known."""
    order = np.argsort(known)
    known, values = np.append(known[order], -1), np.append(values[order], 0)
    place = np.searchsorted(known[:-1], keys)
    return np.where(known[place] == keys, values[place], 0)


def _lists(pair: Ints, successor: Ints, n_pairs: int) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pair, minlength=n_pairs))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(successor.astype(np.int32)))
