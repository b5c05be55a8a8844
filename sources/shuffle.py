"""Columns of integers in a temporary file, read back by key: what is too much for memory is worked on in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from driftline.sources.counting_kernel import Ints

KEY_BITS = 12


class Shuffle:
    """Rows of `width` columns of 64 bits."""

    def __init__(self, file: IO[bytes], width: int) -> None:
        self._file = file
        self._width = width
        self._counts: list[Ints] = []
        """Rows by key of each batch. The file has batch after batch, and in a batch column after column, ordered by key."""

    def add(self, keys: NDArray[Any], *columns: NDArray[Any]) -> None:
        """Appends a batch. `keys`: [rows], below 2 ** KEY_BITS; columns: [rows] each."""
        keys = keys.astype(np.uint16)
        # A stable sort of 16 bits is a radix sort.
        order = np.argsort(keys, kind="stable")
        for column in columns:
            self._file.write(column[order].data)
        self._counts.append(np.bincount(keys, minlength=1 << KEY_BITS))

    def parts(self, limit: int) -> Iterator[Ints]:
        """All rows, int64 [width, rows], by ascending ranges of keys.

        A part has a row. It has at most `limit`, unless they share a key: a key is in one part.
        """
        counts = np.array(self._counts, dtype=np.int64).reshape(-1, 1 << KEY_BITS)
        # Of each batch, the rows before each key.
        before = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)
        until = before.sum(axis=0)
        key = 0
        while key < len(until) - 1:
            stop = max(key + 1, int(np.searchsorted(until, until[key] + limit, side="right")) - 1)
            if until[stop] > until[key]:
                yield self._read(before[:, key], before[:, stop], before[:, -1])
            key = stop

    def _read(self, starts: Ints, stops: Ints, rows: Ints) -> Ints:
        part = np.empty((self._width, (stops - starts).sum()), dtype=np.int64)
        begin = filled = 0
        for start, stop, n in zip(starts.tolist(), stops.tolist(), rows.tolist(), strict=True):
            for column in part[:, filled : filled + stop - start]:
                self._file.seek((begin + start) * part.itemsize)
                if len(column) and self._file.readinto(column.view(np.uint8).data) != column.nbytes:  # type: ignore[attr-defined]
                    raise OSError("a temporary file is shorter than what was written to it")
                begin += n
            filled += stop - start
        return part


@contextmanager
def shuffle(width: int) -> Iterator[Shuffle]:
    """Opens a shuffle, whose file has no name and is gone with the context."""
    with TemporaryFile(prefix="driftline-rows-") as file:
        yield Shuffle(file, width)
