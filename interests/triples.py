"""What the other rooms share about triples (design §1, §3.2).

Every table of triples has `c1, c2, c_next: int32` with three distinct ids in [0, |C|).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests.pairs import Ints, pair_number


@dataclass(frozen=True)
class Triples:
    """Columns of a table of triples, int64 [n] each."""

    c1: Ints
    c2: Ints
    c_next: Ints
    n: Ints
    """Occurrences; 1 where the table has no column `n`."""

    def pair(self, n_clusters: int) -> Ints:
        """Number of the ordered pair (c1, c2) of each row."""
        return pair_number(self.c1, self.c2, n_clusters)

    def tie_break(self) -> NDArray[np.uint64]:
        """A hash of (c1, c2, c_next) to order equals by: the same everywhere, favouring no id (splitmix64's finaliser)."""
        mixed = np.zeros(len(self.c1), dtype=np.uint64)
        for column in (self.c1, self.c2, self.c_next):
            mixed = (mixed ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
        return mixed


def read(table: pa.Table, n_clusters: int | None = None) -> Triples:
    """The columns of a table of triples.

    Raises:
        BadInput: a triple has an id outside [0, n_clusters), or repeats one.
    """
    c1, c2, c_next = (table[name].to_numpy().astype(np.int64) for name in ("c1", "c2", "c_next"))
    n = table["n"].to_numpy().astype(np.int64) if "n" in table.column_names else np.ones(len(c1), dtype=np.int64)
    wrong = (c1 == c2) | (c1 == c_next) | (c2 == c_next) | (np.minimum(np.minimum(c1, c2), c_next) < 0)
    if n_clusters is not None:
        wrong |= np.maximum(np.maximum(c1, c2), c_next) >= n_clusters
    if wrong.any():
        where = np.flatnonzero(wrong)
        examples = ", ".join(f"({c1[i]}, {c2[i]}) → {c_next[i]}" for i in where[:3])
        ids = "cluster ids" if n_clusters is None else f"ids of {n_clusters} clusters"
        raise BadInput(f"{len(where)} triples are not three distinct {ids}, e.g. {examples}")
    return Triples(c1, c2, c_next, n)
