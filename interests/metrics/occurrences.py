"""Occurrences: places of a held-out sequence at which a prediction is requested, with what the user shows before and after."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests.pairs import Ints, pair_number


@dataclass(frozen=True)
class Judged:
    """A prediction's outcome at each occurrence, bool [occurrences]."""

    hit: NDArray[np.bool_]
    """The rest has it."""
    novel: NDArray[np.bool_]
    """It is new to the user."""
    next: NDArray[np.bool_]
    """It is the very next step."""


@dataclass(frozen=True)
class Occurrences:
    """Neighbouring steps (c1, c2) of one user that something follows. A place is a row of the steps, a user a number from 0."""

    n_clusters: int
    days: tuple[date, ...]
    """Every UTC day that the period touches."""
    of_user: Ints
    """int64 [users]"""
    last_pairs: int
    """Occurrences that nothing follows: they are left out of all columns."""
    user: Ints
    """int64 [occurrences], as are the others below."""
    pair: Ints
    """Number of the ordered pair (c1, c2)."""
    place: Ints
    """Of c2."""
    time: NDArray[np.datetime64]
    """Of c2, UTC."""
    day: Ints
    """Of c2, an index of `days`."""
    next: Ints
    """The cluster directly after c2, with which the three are a triple; −1 where it is c1 again."""
    rest: Ints
    """Distinct clusters of the rest other than c1 and c2."""
    fresh: Ints
    """Distinct clusters of the rest that are new to the user: neither in the history nor in the period up to c2."""
    shown: Ints
    """int64 [(user, cluster) of the period or the history], ascending: user · |C| + cluster."""
    first: Ints
    """Of `shown`: the place at which the user first shows that cluster; −1 if in the history already."""
    last: Ints
    """Of `shown`: the place at which the user last shows it; −1 if only in the history."""

    def judge(self, predicted: Ints) -> Judged:
        """The prediction for each occurrence beside what the user really showed."""
        if not len(predicted):
            nothing = np.zeros(0, dtype=np.bool_)
            return Judged(nothing, nothing, nothing)
        wanted = self.user * self.n_clusters + predicted
        at = np.minimum(np.searchsorted(self.shown, wanted), len(self.shown) - 1)
        known = self.shown[at] == wanted
        novel = ~known | (self.first[at] > self.place)
        return Judged(known & (self.last[at] > self.place), novel, predicted == self.next)

    def by_user(self, there: NDArray[np.bool_]) -> Ints:
        """Counts these occurrences by user, int64 [users]."""
        return np.bincount(self.user[there], minlength=len(self.of_user))


def find(steps: pa.Table, history: pa.Table | None, n_clusters: int, start: datetime, end: datetime) -> Occurrences:
    """The occurrences of the period `[start, end)`; arguments and errors as of `hit_rates`.

    The work is a few sorts of the steps; nothing grows with users times clusters.
    """
    begin, stop = utc(start), utc(end)
    if not begin < stop:
        raise BadInput(f"the held-out period {period(start, end)} is empty: its end must come after its start")
    users = pc.unique(steps["user"])
    user, cluster, time = _columns(steps, users, n_clusters)
    same = user[1:] == user[:-1]
    if (user[1:] < user[:-1]).any() or (time[1:] < time[:-1])[same].any():
        raise BadInput("the steps of the held-out period are not ordered by user and time")
    if (cluster[1:] == cluster[:-1])[same].any():
        raise BadInput("two neighbouring steps of a user are of the same cluster: sequences have no repeats")
    if len(time) and not (begin <= time.min() and time.max() < stop):
        raise BadInput(f"there are steps outside the held-out period {period(start, end)}")

    before = _shown_before(history, users, n_clusters, begin)
    own = user * n_clusters + cluster
    key = np.concatenate([before, own])
    place = np.concatenate([np.full(len(before), -1), np.arange(len(own))])
    order = np.argsort(key, kind="stable")
    opens, closes = np.flatnonzero(np.diff(key[order], prepend=-1)), np.flatnonzero(np.diff(key[order], append=-1))
    shown, first, last = key[order[opens]], place[order[opens]], place[order[closes]]

    user_end = np.flatnonzero(np.diff(user, append=-1))
    c2 = np.flatnonzero(same) + 1
    followed = c2 < user_end[user[c2]]
    last_pairs, c2 = int(np.count_nonzero(~followed)), c2[followed]
    # A cluster of the rest is counted at its last step there.
    last_of_step = last[np.searchsorted(shown, own)]
    seen_off = np.cumsum(last_of_step == np.arange(len(own)))
    rest = seen_off[user_end[user[c2]]] - seen_off[c2] - (last_of_step[c2 - 1] > c2) - (last_of_step[c2] > c2)

    first_shown = np.cumsum(first[np.searchsorted(shown, own)] == np.arange(len(own)))
    fresh = first_shown[user_end[user[c2]]] - first_shown[c2]

    first_day = begin.astype("datetime64[D]")
    days = np.arange(first_day, (stop - np.timedelta64(1, "us")).astype("datetime64[D]") + 1)
    return Occurrences(
        n_clusters=n_clusters,
        days=tuple(days.tolist()),
        of_user=np.bincount(user[c2], minlength=len(users)),
        last_pairs=last_pairs,
        user=user[c2],
        pair=pair_number(cluster[c2 - 1], cluster[c2], n_clusters),
        place=c2,
        time=time[c2],
        day=(time[c2].astype("datetime64[D]") - first_day).astype(np.int64),
        next=np.where(cluster[c2 + 1] == cluster[c2 - 1], -1, cluster[c2 + 1]),
        rest=rest,
        fresh=fresh,
        shown=shown,
        first=first,
        last=last,
    )


def period(start: datetime, end: datetime) -> str:
    """A period as messages write it."""
    return "[{:%Y-%m-%d %H:%M}, {:%Y-%m-%d %H:%M})".format(*(utc(time).astype(datetime) for time in (start, end)))


def utc(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "us")


def _shown_before(history: pa.Table | None, users: pa.Array, n_clusters: int, begin: np.datetime64) -> Ints:
    """(user, cluster) of the history, each once."""
    if history is None:
        return np.empty(0, dtype=np.int64)
    user, cluster, time = _columns(history.filter(pc.is_in(history["user"], value_set=users)), users, n_clusters)
    if len(time) and time.max() >= begin:
        raise BadInput("the history reaches into the held-out period: it has to end where the period starts")
    return np.unique(user * n_clusters + cluster)


def _columns(steps: pa.Table, users: pa.Array, n_clusters: int) -> tuple[Ints, Ints, NDArray[np.datetime64]]:
    """Number of the user in `users`, cluster, and time of each step."""
    user = pc.index_in(steps["user"], value_set=users).to_numpy().astype(np.int64)
    cluster = steps["cluster"].to_numpy().astype(np.int64)
    if len(cluster) and not (cluster.min() >= 0 and cluster.max() < n_clusters):
        raise BadInput(
            f"the sequences have clusters {cluster.min()} to {cluster.max()}, which are not ids of {n_clusters} clusters"
        )
    return user, cluster, steps["ts"].to_numpy().astype("datetime64[us]")
