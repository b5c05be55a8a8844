"""Sequences and triples by sorting integers: the rule of `sequences.sql` and `triples.sql` for the users of one part of a log.

A *visit* is one integer: the time above `bits` bits of the cluster. Nothing here is approximate: where a sort takes a shortened
key, its result is checked against the whole one and, if need be, made again without the short cut.
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
class CountedPart:
    codes: Ints
    """Triples that occurred, an entry per occurrence, in no order: c1, c2 and c_next, `bits` bits each."""
    users: int
    sequences: int
    """Users with three or more clusters."""


def count(user: Hashes, visit: Ints, bits: int, first: bool, digests: Digests) -> CountedPart:
    """Triples of some users, all of whose events are here. `user`: hashes that no two share; `visit`: not negative; both [n].

    `first`: keep a cluster's first visit only; else collapse repeats.
    """
    user, visit = _ordered(user, visit)
    next_user = user[1:] != user[:-1]
    number = np.concatenate([[0], np.cumsum(next_user)])
    cluster = visit & ((1 << bits) - 1)
    new = first_of_each(number << bits | cluster)
    variety = np.bincount(number[new])
    kept = new if first else _prefixed(next_user | (visit[1:] != visit[:-1]))
    user, visit, number, cluster = user[kept], visit[kept], number[kept], cluster[kept]
    _break_ties(cluster, user, visit, number, bits, digests)
    if not first:
        kept = _prefixed((number[1:] != number[:-1]) | (cluster[1:] != cluster[:-1]))
        number, cluster = number[kept], cluster[kept]
    return CountedPart(_triples(number, cluster, bits), len(variety), int((variety >= 3).sum()))


def run_lengths(codes: Ints) -> tuple[Ints, Ints]:
    """The distinct codes in order, and how often each occurs. Sorts `codes` in place."""
    codes.sort()
    starts = np.flatnonzero(_prefixed(codes[1:] != codes[:-1])[: len(codes)])
    return codes[starts], np.diff(starts, append=len(codes))


def first_of_each(code: Ints) -> Mask:
    """Whether an entry is the first of its value. `code`: not negative."""
    kept = np.zeros(len(code), dtype=bool)
    if int(code.max()).bit_length() + _bits(len(code)) > 64:
        kept[np.unique(code, return_index=True)[1]] = True
    else:
        key, at = _sorted(code.view(np.uint64))
        kept[at[_prefixed(key[1:] != key[:-1])]] = True
    return kept


def _ordered(user: Hashes, visit: Ints) -> tuple[Hashes, Ints]:
    """Both so that a user's events are together, by time and cluster. Users come in no particular order."""
    order = np.argsort(visit)
    key, at = _sorted(user[order])
    order = order[at]
    user = user[order]
    if ((key[1:] == key[:-1]) & (user[1:] != user[:-1])).any():
        at = np.argsort(user, kind="stable")
        order, user = order[at], user[at]
    return user, visit[order]


def _sorted(values: Hashes) -> tuple[Hashes, Ints]:
    """Argsort: packs value and index into one uint64, which costs the value its ⌈log2 n⌉ highest bits, and sorts that.

    Returns the values so truncated, in order, and their indices, ascending among equals.

    One sort of packed integers is three times as fast as an argsort.
    """
    bits = _bits(len(values))
    key = values << np.uint64(bits)
    key |= np.arange(len(values), dtype=np.uint64)
    key.sort()
    at = (key & np.uint64((1 << bits) - 1)).view(np.int64)
    key >>= np.uint64(bits)
    return key, at


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
    key = group.astype(np.uint64) << np.uint64(64 - width) | high >> np.uint64(width) if width else high
    order: Ints = np.argsort(key)
    key = key[order]
    if (key[1:] == key[:-1]).any():
        order = np.lexsort((low, high, group)).astype(np.int64)
    return order


def _triples(number: Ints, cluster: Ints, bits: int) -> Ints:
    """Codes of three consecutive clusters of one user. Neighbours differ already."""
    c1, c2, c_next = cluster[:-2], cluster[1:-1], cluster[2:]
    counts = (number[2:] == number[:-2]) & (c1 != c_next)
    codes: Ints = (c1[counts] << bits | c2[counts]) << bits | c_next[counts]
    return codes


def _prefixed(changes: Mask) -> Mask:
    return np.append(True, changes)


def _bits(n: int) -> int:
    """Bits that hold 0 … n - 1."""
    return max(n - 1, 0).bit_length()
