"""What two transition tables answer differently, as arrays of ids: of 761 clusters a table has 578,360 pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from driftline.contracts import BadInput
from driftline.db import names as db_names
from driftline.db import pairs as db_pairs
from driftline.db import tables as db_tables
from driftline.db.tables import TransitionTable
from driftline.interests.pairs import pair_count, pair_number, pairs_of

Ints = NDArray[np.integer[Any]]
NO_ANSWER = -1
"""Of a pair that an incomplete table lacks."""


@dataclass(frozen=True)
class Differences:
    """Every pair that two tables answer differently, in order of (c1, c2).

    Attributes:
        before, after: the tables.
        pairs: that both answer.
        numbers: of the pairs that changed (`interests.pairs`).
        was, becomes: their answers.
        names: of the clusters, by id.
    """

    before: TransitionTable
    after: TransitionTable
    pairs: int
    numbers: Ints
    was: Ints
    becomes: Ints
    names: tuple[str, ...]

    @property
    def changed(self) -> int:
        return len(self.numbers)

    @property
    def share(self) -> float:
        return self.changed / self.pairs if self.pairs else 0.0

    def columns(self) -> dict[str, Ints]:
        """The ids of pair and answers, by the name that they are shown under."""
        c1, c2 = pairs_of(self.numbers, self.after.clusters)
        return {"c1": c1, "c2": c2, "a": self.was, "b": self.becomes}

    def named(self, places: slice) -> list[tuple[str, ...]]:
        """The names of pair and answers, of some of them."""
        rows = zip(*(ids[places].tolist() for ids in self.columns().values()), strict=True)
        return [tuple(self.names[number] for number in row) for row in rows]


def read(conn: Connection, before: int, after: int) -> Differences:
    """Compares the answers of two tables, pair by pair.

    Raises:
        BadInput: there is no such table, or their cluster sets differ, so that ids do not compare.
    """
    old, new = comparable(conn, before, after)
    names = db_names.of(conn, new.cluster_set)
    return between(old, new, answers(conn, old), answers(conn, new), names)


def comparable(conn: Connection, before: int, after: int) -> tuple[TransitionTable, TransitionTable]:
    """Both tables. Raises BadInput as `read`."""
    old, new = db_tables.get(conn, before), db_tables.get(conn, after)
    if old.cluster_set != new.cluster_set:
        raise BadInput(
            f"tables {before} and {after} have different cluster sets ({old.cluster_set} and {new.cluster_set}): "
            "their interests do not compare"
        )
    return old, new


def between(old: TransitionTable, new: TransitionTable, was: Ints, becomes: Ints, names: tuple[str, ...]) -> Differences:
    """Compares two tables' answers. `was`, `becomes`: the answers of both tables to every pair, by its number."""
    known = (was != NO_ANSWER) & (becomes != NO_ANSWER)
    changed = np.flatnonzero(known & (was != becomes))
    return Differences(old, new, int(known.sum()), changed, was[changed], becomes[changed], names)


def answers(conn: Connection, table: TransitionTable) -> Ints:
    """The answer to each pair, by the pair's number."""
    if table.complete:
        return db_pairs.next_of(conn, table.version)
    found = db_tables.answers(conn, table.version)
    c1, c2, c_next = (found[name].to_numpy() for name in ("c1", "c2", "c_next"))
    return by_pair(c1, c2, c_next, table.clusters, NO_ANSWER)


def by_pair(c1: Ints, c2: Ints, values: Ints, clusters: int, empty: int) -> Ints:
    """Values of some pairs, by the pair's number; `empty` for the others."""
    filled = np.full(pair_count(clusters), empty, dtype=values.dtype)
    filled[pair_number(c1, c2, clusters)] = values
    return filled
