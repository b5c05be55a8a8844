"""What would change: two transition tables compared pair by pair, heaviest pairs first.

Versions never change, so what is read of one is kept for the next question: of 761 clusters 2.3 MB a table, 4.6 MB a window.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.db import clusters as db_clusters
from driftline.db import pairs as db_pairs
from driftline.db import tables as db_tables
from driftline.db.connection import Engine
from driftline.db.tables import TransitionTable
from driftline.interests.triples import Ints, pair_number, pairs
from driftline.operations.context import Context

NO_ANSWER = -1
"""Of a pair that an incomplete table lacks."""


@dataclass(frozen=True)
class Change:
    """A pair that two tables answer differently. `traffic`: how often it occurred in the newer table's window."""

    c1: int
    c2: int
    before: int
    after: int
    traffic: int


@dataclass(frozen=True)
class Balance:
    """Of how many pairs an interest is the answer in the newer table and was not, and the other way round."""

    cluster: int
    gained: int
    lost: int

    @property
    def net(self) -> int:
        return self.gained - self.lost


@dataclass(frozen=True)
class Changes:
    """
    Attributes:
        pairs: that both tables answer; `changed` of them differently.
        traffic: occurrences of all pairs in the newer table's window; `traffic_changed` of those that changed.
        found: how many changes the search finds; `heaviest`: the first of them.
        balances: of every interest that gained or lost; the largest net changes first.
        names: of the clusters, by id.
    """

    before: int
    after: int
    pairs: int
    changed: int
    traffic: int
    traffic_changed: int
    found: int
    heaviest: tuple[Change, ...]
    balances: tuple[Balance, ...]
    names: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.changed / self.pairs if self.pairs else 0.0

    @property
    def traffic_share(self) -> float | None:
        return self.traffic_changed / self.traffic if self.traffic else None


def compare(context: Context, before: int, after: int, search: str = "", limit: int = 20) -> Changes:
    """The pairs whose answer differs, by traffic.

    Args:
        search: keeps those of which an interest of the pair, or one of the two answers, has this text in its name or is this id.

    Raises:
        BadInput: there is no such table, or their cluster sets differ, so that ids do not compare.
    """
    with context.engine.connect() as connection:
        old, new = db_tables.get(connection, before), db_tables.get(connection, after)
    if old.cluster_set != new.cluster_set:
        raise BadInput(
            f"tables {before} and {after} have different cluster sets ({old.cluster_set} and {new.cluster_set}): "
            "their interests do not compare"
        )
    clusters = new.clusters
    a, b, weight = _answers(context.engine, old), _answers(context.engine, new), _traffic(context.engine, new)
    known = (a != NO_ANSWER) & (b != NO_ANSWER)
    changed = np.flatnonzero(known & (a != b))
    names = cluster_names(context.engine, new.cluster_set)
    c1, c2 = (ids[changed] for ids in pairs(clusters))
    rows = np.stack([c1, c2, a[changed], b[changed], weight[changed]], axis=1)
    matching = rows[_mentions(rows[:, :4], search, names)] if search else rows
    order = np.argsort(-matching[:, 4], kind="stable")[:limit]
    gained, lost = (np.bincount(column, minlength=clusters) for column in (b[changed], a[changed]))
    moved = np.flatnonzero(gained + lost)
    by_net = moved[np.argsort(-np.abs(gained - lost)[moved], kind="stable")]
    return Changes(
        before=before,
        after=after,
        pairs=int(known.sum()),
        changed=len(changed),
        traffic=int(weight.sum()),
        traffic_changed=int(weight[changed].sum()),
        found=len(matching),
        heaviest=tuple(Change(*map(int, row)) for row in matching[order]),
        balances=tuple(Balance(int(c), int(gained[c]), int(lost[c])) for c in by_net),
        names=names,
    )


@lru_cache(maxsize=8)
def cluster_names(engine: Engine, cluster_set: int) -> tuple[str, ...]:
    """The names of a set's clusters, by id."""
    with engine.connect() as connection:
        return tuple(db_clusters.get(connection, cluster_set)["name"].to_pylist())


def _mentions(ids: Ints, search: str, names: tuple[str, ...]) -> NDArray[np.bool_]:
    wanted = search.strip().casefold()
    hit = np.array([wanted in name.casefold() or wanted == str(number) for number, name in enumerate(names)])
    found: NDArray[np.bool_] = np.logical_or.reduce(hit[ids], axis=1)
    return found


def _answers(engine: Engine, table: TransitionTable) -> Ints:
    if not table.complete:  # rows of an incomplete table may still come
        return _read_answers.__wrapped__(engine, table.version, table.clusters)
    return _read_answers(engine, table.version, table.clusters)


def _traffic(engine: Engine, table: TransitionTable) -> Ints:
    return _read_traffic(engine, table.counts_version, table.clusters)


@lru_cache(maxsize=16)
def _read_answers(engine: Engine, version: int, clusters: int) -> Ints:
    """The answer to each pair, by the pair's number."""
    with engine.connect() as connection:
        found = db_tables.answers(connection, version)
    return _by_pair(found, "c_next", clusters, NO_ANSWER).astype(np.int32)


@lru_cache(maxsize=16)
def _read_traffic(engine: Engine, counts: int, clusters: int) -> Ints:
    """How often each pair occurred, by the pair's number."""
    with engine.connect() as connection:
        found = db_pairs.traffic(connection, counts)
    return _by_pair(found, "n", clusters, 0)


def _by_pair(rows: pa.Table, column: str, clusters: int, empty: int) -> Ints:
    c1, c2, values = (rows[name].to_numpy() for name in ("c1", "c2", column))
    filled = np.full(clusters * (clusters - 1), empty, dtype=np.int64)
    filled[pair_number(c1, c2, clusters)] = values
    return filled
