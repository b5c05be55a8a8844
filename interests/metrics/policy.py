"""The whole policy on held-out days: from a history to an interest to items, and what users then took (design §3.15)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.interests.metrics.estimates import Difference, Estimate, mean
from driftline.interests.metrics.spread import entropy
from driftline.interests.recommender.rows import Rows

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class PolicyArm:
    """One way to choose items. Shares are of users; intervals are over them."""

    name: str
    interest: Estimate
    """Users who turned to a listed interest that was new to them."""
    item: Estimate
    """Users who took a listed item."""
    explored: Estimate
    """Users who took a listed item of an interest that was new to them."""
    novel: Estimate
    """Share of a user's listed items whose interest was new to them."""
    items: int
    """Distinct items listed."""
    effective_items: float | None
    """2 ** entropy of the listed items."""


@dataclass(frozen=True)
class Policy:
    """Arms on the same users, one request each, when the held-out days begin."""

    at: int
    """Items in a list."""
    users: int
    catalogue: int
    """Items that could be listed."""
    arms: tuple[PolicyArm, ...]
    differences: tuple[Difference, ...]
    """Of `item`, of the first arm to each other one."""
    uptake_differences: tuple[Difference, ...]
    """Of `explored`, likewise."""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcomes:
    """What users had before and took then, row by row of the index.

    Attributes:
        had, took: rows of each user.
        clusters: of each row.
    """

    had: tuple[Rows, ...]
    took: tuple[Rows, ...]
    clusters: Rows

    @property
    def users(self) -> int:
        return len(self.had)


def policy(outcomes: Outcomes, arms: Mapping[str, Rows], catalogue: int) -> Policy:
    """Judge lists of items, one for each user.

    Args:
        arms: rows [users, at] by name, best first, negative where there is none; differences are to the first.
    """
    n_clusters = int(outcomes.clusters.max(initial=-1)) + 1
    had, took = np.zeros((2, outcomes.users, n_clusters), dtype=bool)
    for user, (before, then) in enumerate(zip(outcomes.had, outcomes.took, strict=True)):
        had[user, outcomes.clusters[before]] = True
        took[user, outcomes.clusters[then]] = True
    flags = {name: _flags(outcomes, rows, had, took) for name, rows in arms.items()}
    judged = tuple(
        PolicyArm(name, mean(turned), mean(item), mean(explored), mean(novel), *_spread(arms[name]))
        for name, (turned, item, explored, novel) in flags.items()
    )
    first, *others = arms

    def compared(which: int) -> tuple[Difference, ...]:
        ours = flags[first][which].astype(float)
        return tuple(Difference(first, name, mean(ours - flags[name][which])) for name in others)

    at = next(iter(arms.values())).shape[1]
    missing = () if outcomes.users else ("no user has a history and takes something on the held-out days",)
    return Policy(at, outcomes.users, catalogue, judged, compared(1), compared(2), missing)


def _flags(outcomes: Outcomes, rows: Rows, had: Flags, took: Flags) -> tuple[Flags, Flags, Flags, NDArray[np.float64]]:
    """Computes four columns by user: turned to a new interest of the list, took a listed item, took one of a new interest; share
    of such items."""
    listed = rows >= 0
    of = outcomes.clusters[np.where(listed, rows, 0)]
    user = np.arange(outcomes.users)[:, None]
    new = listed & ~had[user, of]
    taken = listed & np.array([np.isin(line, then) for line, then in zip(rows, outcomes.took, strict=True)], dtype=bool).reshape(
        rows.shape
    )
    share = new.sum(axis=1) / np.maximum(listed.sum(axis=1), 1)

    def some(flags: Flags) -> Flags:
        return np.asarray(flags.any(axis=1), dtype=bool)

    return some(new & took[user, of]), some(taken), some(taken & new), np.asarray(share, np.float64)


def _spread(rows: Rows) -> tuple[int, float | None]:
    listed = rows[rows >= 0].astype(np.int64)
    return len(np.unique(listed)), float(2 ** entropy(listed)) if len(listed) else None
