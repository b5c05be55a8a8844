"""Sequences and triples by sorting integers: the rule of `sequences.sql` and `triples.sql` for the users of one part of a log.

A *visit* is one integer: the time above `bits` bits of the cluster. Nothing here is approximate: where a sort works on a shortened
key, the result is checked against the whole one and, if need be, sorted again without the short cut.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]

Digests = Callable[[Hashes, Ints], tuple[Hashes, Hashes]]
"""First and second half of each tie's hash, by user and visit."""


@dataclass(frozen=True)
class Counted:
    codes: Ints
    """Triples that occurred, an entry per occurrence, in no order: c1, c2 and c_next, `bits` bits each."""
    users: int
    sequences: int
    """Users with three or more clusters."""


def count(user: Hashes, visit: Ints, bits: int, first: bool, digests: Digests) -> Counted:
    """Triples of some users. `user`, `visit`: [events], at least one; all events of a user are here, and no two users share a hash.

    `first`: keep a cluster's first visit only; else collapse repeats.
    """
    order = _order(user, visit)
    user, visit = user[order], visit[order]
    next_user = user[1:] != user[:-1]
    number = np.concatenate([[0], np.cumsum(next_user)])
    cluster = visit & ((1 << bits) - 1)
    new = _first_of_each(number << bits | cluster)
    variety = np.bincount(number[new])
    kept = new if first else _prefixed(next_user | (visit[1:] != visit[:-1]))
    user, visit, number, cluster = user[kept], visit[kept], number[kept], cluster[kept]
    _break_ties(cluster, user, visit, number, bits, digests)
    if not first:
        kept = _prefixed((number[1:] != number[:-1]) | (cluster[1:] != cluster[:-1]))
        number, cluster = number[kept], cluster[kept]
    return Counted(_triples(number, cluster, bits), len(variety), int((variety >= 3).sum()))


def run_lengths(codes: Ints) -> tuple[Ints, Ints]:
    """The distinct codes in order, and how often each occurs. Sorts `codes` in place."""
    codes.sort()
    starts = np.flatnonzero(_prefixed(codes[1:] != codes[:-1])[: len(codes)])
    return codes[starts], np.diff(starts, append=len(codes))


def _order(user: Hashes, visit: Ints) -> Ints:
    """The permutation that brings a user's events together, by time and cluster; users come in no particular order."""
    by_visit = np.argsort(visit)
    place = _bits(len(user))
    # The hash without its highest bits, then the place in `by_visit`. Sorting integers is three times as fast as sorting indices.
    key = user[by_visit] << place | np.arange(len(user), dtype=np.uint64)
    key.sort()
    order = by_visit[_lowest(key, place)]
    key >>= place
    user = user[order]
    if ((key[1:] == key[:-1]) & (user[1:] != user[:-1])).any():
        return order[np.argsort(user, kind="stable")]
    return order


def _first_of_each(code: Ints) -> Mask:
    """Whether a row is the first with its code. `code`: not negative."""
    place = _bits(len(code))
    kept = np.zeros(len(code), dtype=bool)
    if int(code.max()).bit_length() + place > 64:
        kept[np.unique(code, return_index=True)[1]] = True
        return kept
    key = code.astype(np.uint64) << place | np.arange(len(code), dtype=np.uint64)
    key.sort()
    at = _lowest(key, place)
    key >>= place
    kept[at[_prefixed(key[1:] != key[:-1])]] = True
    return kept


def _break_ties(cluster: Ints, user: Hashes, visit: Ints, number: Ints, bits: int, digests: Digests) -> None:
    """Puts visits of one user and time in the order of their hashes. Changes `cluster` in place."""
    with_next = (number[1:] == number[:-1]) & (visit[1:] >> bits == visit[:-1] >> bits)
    tied = np.flatnonzero(np.append(with_next, False) | np.append(False, with_next))
    if tied.size:
        group = np.cumsum(_prefixed(~with_next))[tied]
        cluster[tied] = cluster[tied][_tie_order(group - group[0], *digests(user[tied], visit[tied]))]


def _tie_order(group: Ints, high: Hashes, low: Hashes) -> Ints:
    """The permutation by group, then (high, low). `group`: ascending from 0."""
    width = _bits(int(group[-1]) + 1)
    key = group.astype(np.uint64) << (64 - width) | high >> width if width else high
    order = np.argsort(key)
    key = key[order]
    if (key[1:] == key[:-1]).any():
        return np.lexsort((low, high, group))
    return order


def _triples(number: Ints, cluster: Ints, bits: int) -> Ints:
    """Codes of three consecutive clusters of one user. Neighbours differ already."""
    c1, c2, c_next = cluster[:-2], cluster[1:-1], cluster[2:]
    counts = (number[2:] == number[:-2]) & (c1 != c_next)
    return (c1[counts] << bits | c2[counts]) << bits | c_next[counts]


def _prefixed(changes: Mask) -> Mask:
    return np.append(True, changes)


def _bits(n: int) -> int:
    """Bits that hold 0 … n - 1."""
    return max(n - 1, 0).bit_length()


def _lowest(key: Hashes, bits: int) -> Ints:
    return (key & np.uint64((1 << bits) - 1)).astype(np.int64)
