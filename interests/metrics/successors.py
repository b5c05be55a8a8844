"""The top-k successors of every ordered pair: what drift and staleness compare (paper §2.1, §3.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.interests.pairs import Ints, pair_count
from driftline.interests.triples import Triples, read

Ranking = Literal["frequency", "lift"]
RANKINGS: tuple[Ranking, ...] = ("frequency", "lift")
Lists = NDArray[np.int32]
SLICE = 1 << 17
"""Triples that are ranked together, if they are not all of one c1."""


@dataclass(frozen=True)
class Successors:
    """Top successors of every pair, of one sample of users in one window.

    Attributes:
        top: by ranking, int32 [pairs, k]: each pair's successors, best first, filled up with −1.
        support: int64 [pairs]: occurrences of the pair, Σ n(c1, c2, ·).
    """

    top: dict[Ranking, Lists]
    support: Ints


def top_successors(counts: pa.Table, n_clusters: int, k: int) -> Successors:
    """The k best successors of every ordered pair, by `frequency` and by `lift`.

        frequency = n(c1, c2, c)
        lift      = n(c1, c2, c) · N / (n(c1, c2, ·) · n(·, ·, c))

    All of it counts the same sample; N is the sum of its n. Lift asks how much likelier c is after this pair than after any: it
    is free of c's popularity. c can never follow a pair that it is part of, so the n(·, ·, c) that are possible differ between
    pairs, but within a pair n(c1, c2, ·) and N are the same for all of its successors, and the ranking is that of
    n(c1, c2, c) / n(·, ·, c). Equal ones are ordered by n, then by a hash of the triple.

    Args:
        counts: c1, c2, c_next: int32, n: int64; each triple once. Sorted by c1, or it is sorted here.

    Raises:
        BadInput: a triple is not three distinct ids of `n_clusters` clusters.
    """
    found = no_successors(n_clusters, k)
    total = np.zeros(n_clusters, dtype=np.int64)
    if (np.diff(counts["c1"].to_numpy()) < 0).any():
        counts = counts.sort_by("c1")
    for part in slices(iter(counts.to_batches(SLICE)), counts.schema):
        rows = read(part, n_clusters)
        np.add.at(total, rows.c_next, rows.n)
    for part in slices(iter(counts.to_batches(SLICE)), counts.schema):
        fill(found, read(part, n_clusters), total, n_clusters)
    return found


def no_successors(n_clusters: int, k: int) -> Successors:
    """Empty lists, of a sample without a triple; to be filled."""
    pairs = pair_count(n_clusters)
    return Successors({ranking: np.full((pairs, k), -1, dtype=np.int32) for ranking in RANKINGS}, np.zeros(pairs, dtype=np.int64))


def slices(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Re-batches rows sorted by c1 into tables of about `SLICE` rows, no c1 split; their bounds do not depend on the batches."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        table = pa.Table.from_batches(held, schema)
        while table.num_rows > SLICE:
            c1 = table["c1"].to_numpy()
            end = int(np.searchsorted(c1, c1[SLICE - 1], side="right"))
            if end == len(c1):  # the last c1 may go on in the next batch
                break
            yield table[:end]
            table = table[end:]
        held = table.to_batches()
    yield pa.Table.from_batches(held, schema)


def fill(successors: Successors, rows: Triples, total: Ints, n_clusters: int) -> None:
    """Enter the pairs of some c1. `rows`: all their triples, n ≥ 0. `total`: n(·, ·, c) of the whole sample, int64 [clusters]."""
    if not len(rows.c1):
        return
    first, last = int(rows.c1.min()) * (n_clusters - 1), (int(rows.c1.max()) + 1) * (n_clusters - 1)
    place = rows.pair(n_clusters) - first
    np.add.at(successors.support, place + first, rows.n)
    for ranking in RANKINGS:
        k = successors.top[ranking].shape[1]
        successors.top[ranking][first:last] = ranked(rows, total, ranking, place, last - first, k)


def ranked(rows: Triples, total: Ints, ranking: Ranking, place: Ints, places: int, k: int) -> Lists:
    """The k best of the triples that share a place: int32 [places, k]; those with n = 0 are not there."""
    there = np.flatnonzero(rows.n > 0)
    rows, place = Triples(rows.c1[there], rows.c2[there], rows.c_next[there], rows.n[there]), place[there]
    score = rows.n if ranking == "frequency" else rows.n / total[rows.c_next]
    order = np.lexsort((rows.tie_break(), -rows.n, -score, place))
    place = place[order]
    rank = np.arange(len(order)) - np.searchsorted(place, place)
    best = rank < k
    lists = np.full((places, k), -1, dtype=np.int32)
    lists[place[best], rank[best]] = rows.c_next[order][best]
    return lists


def jaccard(a: Lists, b: Lists) -> NDArray[np.float64]:
    """|A ∩ B| / |A ∪ B| of two top lists of each pair, float64 [pairs]; the order inside a list does not matter.

    Args:
        a, b: int32 [pairs, k], filled up with −1. NaN where both are empty.
    """
    common = np.zeros(len(a), dtype=np.int64)
    for place in range(a.shape[1]):
        one = a[:, place]
        common += (one >= 0) & (b == one[:, None]).any(axis=1)
    either = (a >= 0).sum(axis=1) + (b >= 0).sum(axis=1) - common
    similarity: NDArray[np.float64] = np.divide(common, either, out=np.full(len(a), np.nan), where=either > 0)
    return similarity


def same_list(a: Lists, b: Lists, k: int) -> NDArray[np.bool_]:
    """Equality of the first k in order, bool [pairs]."""
    same: NDArray[np.bool_] = (a[:, :k] == b[:, :k]).all(axis=1)
    return same


def same_set(a: Lists, b: Lists, k: int) -> NDArray[np.bool_]:
    """Equality of the first k in any order, bool [pairs]."""
    return same_list(np.sort(a[:, :k], axis=1), np.sort(b[:, :k], axis=1), k)
