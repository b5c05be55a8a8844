"""Ordered pairs of |C| clusters by number: 0 … |C|·(|C|−1)−1, by ascending (c1, c2) (design §3.2).

The one place that knows the formula. NumPy alone: a serving process has nothing else to load.
"""

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ids = NDArray[np.signedinteger[Any]]
"""Of clusters, in as few bits as hold them."""


def id_type(n_clusters: int) -> type[np.signedinteger[Any]]:
    """The type of `Ids` that holds those of so many clusters."""
    return np.int16 if n_clusters <= 32_767 else np.int32


def pair_count(n_clusters: int) -> int:
    """Number of ordered pairs."""
    return n_clusters * (n_clusters - 1)


@overload
def pair_number(c1: int, c2: int, n_clusters: int) -> int: ...


@overload
def pair_number(c1: NDArray[Any], c2: NDArray[Any], n_clusters: int) -> Ints: ...


def pair_number(c1: Any, c2: Any, n_clusters: int) -> Any:
    """The number of a pair, or of many: two ints, or two arrays of one shape."""
    if isinstance(c1, np.ndarray):
        c1 = c1.astype(np.int64)  # the product of two narrow ids needs more bits than they have
    return c1 * (n_clusters - 1) + c2 - (c2 > c1)


def pairs(n_clusters: int) -> tuple[Ints, Ints]:
    """Every ordered pair by number: c1 and c2, int64 [|C|·(|C|−1)] each."""
    return pairs_of(np.arange(pair_count(n_clusters)), n_clusters)


def pairs_of(numbers: NDArray[Any], n_clusters: int) -> tuple[Ints, Ints]:
    """c1 and c2 of numbered pairs, int64 [numbers] each."""
    c1, c2 = np.divmod(numbers, max(n_clusters - 1, 1))
    return c1, c2 + (c2 >= c1)
