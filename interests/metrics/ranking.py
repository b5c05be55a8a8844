"""NDCG and hit rate of lists of items on held-out days, with intervals over users."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.interests.metrics.estimates import Difference, Estimate, ratio
from driftline.interests.recommender.histories import Histories
from driftline.interests.recommender.index import Index
from driftline.interests.recommender.rows import Rows


@dataclass(frozen=True)
class Cases:
    """Requests: an interest that a user turned to in held-out days, and which items new to the user they took there.

    Attributes:
        user: int64 [n], number in the histories; ascending.
        cluster: int64 [n]; −1: all items.
        relevant: rows that are right for each case.
        seen: rows that each case's user had before.
    """

    user: NDArray[np.int64]
    cluster: NDArray[np.int64]
    relevant: tuple[Rows, ...]
    seen: tuple[Rows, ...]


@dataclass(frozen=True)
class ArmRanking:
    """How good an arm's lists of items are."""

    name: str
    ndcg: Estimate
    hit: Estimate
    """Share of lists with an item that the user took."""


@dataclass(frozen=True)
class RankingQuality:
    """Several arms on the same cases. Intervals are over users."""

    at: int
    users: int
    cases: int
    arms: tuple[ArmRanking, ...]
    differences: tuple[Difference, ...]
    """Of NDCG, of the first arm to each other one."""


def find(before: Histories, held_out: Histories, index: Index, restricted: bool = True, most: int | None = None) -> Cases:
    """The cases of held-out days: for each user with a history, and each interest of the items that are new to them there.

    Args:
        before, held_out: of the same users, in the same places.
        restricted: False: one case per user, over all items.
        most: only so many users, spread evenly over all that have a case.
    """
    clusters = index.clusters
    user: list[int] = []
    cluster: list[int] = []
    relevant: list[Rows] = []
    seen: list[Rows] = []
    asked = np.flatnonzero((np.diff(before.starts) > 0) & (np.diff(held_out.starts) > 0))
    if most is not None and len(asked) > most:
        asked = asked[np.linspace(0, len(asked) - 1, most).astype(np.int64)]
    for one in asked.tolist():
        had = np.unique(before.of(one))
        new = np.setdiff1d(held_out.of(one), had)
        of = clusters[new] if restricted else np.full(len(new), -1, np.int32)
        for turned_to in np.unique(of):
            user.append(one)
            cluster.append(int(turned_to))
            relevant.append(new[of == turned_to])
            seen.append(had)
    return Cases(np.array(user, np.int64), np.array(cluster, np.int64), tuple(relevant), tuple(seen))


def gains(cases: Cases, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """NDCG and hit of each case's list, float64 [n] each.

        NDCG = Σ_k [item k is right] / log2(k + 1)  /  the same with all that is right first

    Args:
        rows: [n, k], best first.
    """
    weight = 1 / np.log2(np.arange(2, rows.shape[1] + 2))
    best = np.concatenate([[0.0], np.cumsum(weight)])
    right = np.array([np.isin(line, taken) for line, taken in zip(rows, cases.relevant, strict=True)], dtype=bool)
    right = right.reshape(rows.shape)
    ideal = best[np.minimum([len(taken) for taken in cases.relevant], rows.shape[1]).astype(np.int64)]
    ndcg = np.asarray((right * weight).sum(axis=1) / ideal, np.float64)
    hit = np.asarray(right.any(axis=1), np.float64)
    return ndcg, hit


def compare(cases: Cases, arms: Sequence[tuple[str, Rows]]) -> RankingQuality:
    """Arms side by side; the differences are those of the first to the others, paired by user."""
    users, of = np.unique(cases.user, return_inverse=True)
    out_of = np.bincount(of, minlength=len(users))
    found = {name: gains(cases, rows) for name, rows in arms}
    sums = {name: [np.bincount(of, value, len(users)) for value in values] for name, values in found.items()}
    lists = tuple(ArmRanking(name, ratio(ndcg, out_of), ratio(hit, out_of)) for name, (ndcg, hit) in sums.items())
    first, *others = sums
    differences = tuple(Difference(first, name, ratio(sums[first][0] - sums[name][0], out_of)) for name in others)
    return RankingQuality(arms[0][1].shape[1], len(users), len(cases.user), lists, differences)
