"""Items by interest: the rows of one cluster are neighbours, so that what is restricted to it reads one slice."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from driftline.interests.recommender.rows import Rows


@dataclass(frozen=True)
class Index:
    """Items by cluster: those of one are neighbours.

    Attributes:
        items: string [n], ordered by cluster and then by id.
        starts: int64 [|C| + 1]: the items of cluster c are the rows `starts[c]` to `starts[c + 1]`.
    """

    items: pa.Array
    starts: NDArray[np.int64]

    @property
    def clusters(self) -> Rows:
        """Cluster of each row."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def rows(self, items: pa.Array) -> Rows:
        """Row of each item; −1 where the index has no such item."""
        found: Rows = pc.index_in(items, value_set=self.items).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return found

    def assignment(self) -> pa.Table:
        """Item and row, as `sources.sequences` takes items and clusters: a sequence is then one of items."""
        return pa.table({"item": self.items, "cluster": np.arange(len(self.items), dtype=np.int32)})


def by_cluster(items: pa.Table, n_clusters: int) -> Index:
    """The index of items: item, cluster; every item once."""
    ordered = items.select(["item", "cluster"]).sort_by([("cluster", "ascending"), ("item", "ascending")])
    starts = np.searchsorted(ordered["cluster"].to_numpy(), np.arange(n_clusters + 1)).astype(np.int64)
    return Index(ordered["item"].combine_chunks(), starts)
