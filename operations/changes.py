"""What would change: two transition tables compared pair by pair, heaviest pairs first.

Versions never change, so what is read of one is kept for the next question: of 761 clusters 2.3 MB a table, 4.6 MB a window.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftline.db import differences as db_differences
from driftline.db import names as db_names
from driftline.db import pairs as db_pairs
from driftline.db.connection import Engine
from driftline.db.differences import Differences, Ints
from driftline.db.tables import TransitionTable
from driftline.interests.pairs import pairs_of
from driftline.operations.context import Context
from driftline.operations.text import inert


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
    """Counts the pairs that an interest is the answer to in the newer table and was not, and the other way round."""

    cluster: int
    gained: int
    lost: int

    @property
    def net(self) -> int:
        return self.gained - self.lost


@dataclass(frozen=True)
class Changes:
    """How two tables' answers differ: counts, the heaviest pairs, and each interest's balance.

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


def differences(context: Context, before: int, after: int) -> Differences:
    """The pairs whose answer differs between two tables.

    Raises:
        BadInput: there is no such table, or their cluster sets differ, so that ids do not compare.
    """
    engine = context.engine
    with engine.connect() as connection:
        old, new = db_differences.comparable(connection, before, after)
    names = cluster_names(engine, new.cluster_set)
    return db_differences.between(old, new, _answers(engine, old), _answers(engine, new), names)


def compare(context: Context, before: int, after: int, search: str = "", limit: int = 20) -> Changes:
    """The pairs whose answer differs, by traffic.

    Args:
        search: keeps those of which an interest of the pair, or one of the two answers, has this text in its name or is this id.

    Raises:
        BadInput: there is no such table, or their cluster sets differ, so that ids do not compare.
    """
    differing = differences(context, before, after)
    changed, was, becomes, names = differing.numbers, differing.was, differing.becomes, differing.names
    clusters, weight = differing.after.clusters, _traffic(context.engine, differing.after)
    traffic = weight[changed]
    matching = np.arange(len(changed))
    if search:
        matching = np.flatnonzero(_mentions((*pairs_of(changed, clusters), was, becomes), search, names))
    heaviest = matching[_largest(traffic[matching], limit)]
    gained, lost = (np.bincount(column, minlength=clusters) for column in (becomes, was))
    moved = np.flatnonzero(gained + lost)
    by_net = moved[np.argsort(-np.abs(gained - lost)[moved], kind="stable")]
    rows = zip(*pairs_of(changed[heaviest], clusters), was[heaviest], becomes[heaviest], traffic[heaviest], strict=True)
    return Changes(
        before=before,
        after=after,
        pairs=differing.pairs,
        changed=len(changed),
        traffic=int(weight.sum()),
        traffic_changed=int(traffic.sum()),
        found=len(matching),
        heaviest=tuple(Change(*map(int, row)) for row in rows),
        balances=tuple(Balance(int(c), int(gained[c]), int(lost[c])) for c in by_net),
        names=names,
    )


def as_csv(changes: Changes) -> str:
    """The heaviest changes for a spreadsheet: ids, names as `text.inert`, and traffic."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    before, after = f"table {changes.before}", f"table {changes.after}"
    writer.writerow(("c1", "c2", "first", "then", "traffic", f"{before} id", before, f"{after} id", after))
    named = [inert(name) for name in changes.names]
    for row in changes.heaviest:
        shown = (row.c1, row.c2, named[row.c1], named[row.c2], row.traffic)
        writer.writerow((*shown, row.before, named[row.before], row.after, named[row.after]))
    return lines.getvalue()


@lru_cache(maxsize=8)
def cluster_names(engine: Engine, cluster_set: int) -> tuple[str, ...]:
    """The names of a set's clusters, by id."""
    with engine.connect() as connection:
        return db_names.of(connection, cluster_set)


def _mentions(columns: Sequence[Ints], search: str, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether one of these ids has the text in its name, or is it."""
    wanted = search.strip().casefold()
    hit = np.array([wanted in name.casefold() or wanted == str(number) for number, name in enumerate(names)])
    mentioned: NDArray[np.bool_] = np.logical_or.reduce([hit[ids] for ids in columns])
    return mentioned


def _largest(values: Ints, limit: int) -> NDArray[np.int64]:
    """Places of the largest values, the first of equals first; without sorting all of them."""
    places = np.arange(len(values))
    if limit < len(values):
        places = np.flatnonzero(values >= np.partition(values, -limit)[-limit])
    return places[np.argsort(-values[places], kind="stable")][:limit]


def _answers(engine: Engine, table: TransitionTable) -> Ints:
    """The answer to each pair, by the pair's number."""
    if not table.complete:  # its rows may still come
        with engine.connect() as connection:
            return db_differences.answers(connection, table)
    return _read_answers(engine, table.version)


def _traffic(engine: Engine, table: TransitionTable) -> Ints:
    return _read_traffic(engine, table.counts_version, table.clusters)


@lru_cache(maxsize=16)
def _read_answers(engine: Engine, version: int) -> Ints:
    with engine.connect() as connection:
        return db_pairs.next_of(connection, version)


@lru_cache(maxsize=16)
def _read_traffic(engine: Engine, counts: int, clusters: int) -> Ints:
    """How often each pair occurred, by the pair's number."""
    with engine.connect() as connection:
        return db_differences.by_pair(*db_pairs.traffic(connection, counts), clusters, 0)
