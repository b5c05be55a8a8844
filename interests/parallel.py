"""Work on all cores, with the same bits on any number of them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from driftline.interests.cores import cores

Result = TypeVar("Result")

CHUNK = 4096
"""Rows of a chunk: what a thread multiplies by all centres at once."""


@dataclass(frozen=True)
class Chunks:
    """A chunk of rows is one thread's, whichever has time, and the results come in the order of the chunks."""

    pool: ThreadPoolExecutor

    def map(self, work: Callable[[slice], Result], n: int) -> list[Result]:
        return list(self.pool.map(work, [slice(begin, min(begin + CHUNK, n)) for begin in range(0, n, CHUNK)]))


@contextmanager
def on_all_cores() -> Iterator[Chunks]:
    # Sums over BLAS's own threads come in no fixed order.
    with threadpool_limits(limits=1), ThreadPoolExecutor(cores()) as pool:
        yield Chunks(pool)
