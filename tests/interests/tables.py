"""Small tables of triples, written and drawn."""

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

Counts = dict[tuple[int, int, int], int]


def table(counts: Counts) -> pa.Table:
    """c1, c2, c_next, n in the order written."""
    columns = np.array([(*triple, n) for triple, n in counts.items()], dtype=np.int64).reshape(-1, 4).T
    names = ("c1", "c2", "c_next")
    return pa.table({name: column.astype(np.int32) for name, column in zip(names, columns, strict=False)} | {"n": columns[3]})


def counts_of(n_clusters: int, max_n: int = 5) -> st.SearchStrategy[Counts]:
    """Counts of up to 40 triples of `n_clusters` clusters."""
    triple = st.permutations(range(n_clusters)).map(lambda ids: (ids[0], ids[1], ids[2]))
    return st.dictionaries(triple, st.integers(1, max_n), max_size=40)


def recall(mapping: pa.Table, test: pa.Table) -> float | None:
    """Test-set recall by its definition (design §3.8), row by row; None without a triple."""
    answers = {(row["c1"], row["c2"]): row["c_next"] for row in mapping.to_pylist()}
    rows = test.to_pylist()
    hit = sum(row["n"] for row in rows if answers[row["c1"], row["c2"]] == row["c_next"])
    return hit / sum(row["n"] for row in rows) if rows else None
