"""Rows in a temporary file, read back key by key: what is too much for memory is worked on in parts."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

KEYS = 1 << 12
PART = 1 << 20
"""Rows in a part, unless a single key has more."""


class Shuffle:
    """An unnamed file that is gone with the context. Rows are NumPy scalars of one type, structured or not."""

    def __init__(self, rows: np.dtype[Any]) -> None:
        self._rows = rows
        self._file = tempfile.TemporaryFile(prefix="driftline-rows-")
        # Rows per key of each batch, in the order of the file.
        self._counts: list[NDArray[np.int64]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def add(self, rows: NDArray[Any], keys: NDArray[Any]) -> None:
        """Appends a batch. `keys`: one in [0, KEYS) per row."""
        # A stable sort of 16 bits is a radix sort.
        keys = keys.astype(np.uint16)
        self._file.write(rows[np.argsort(keys, kind="stable")].data)
        self._counts.append(np.bincount(keys, minlength=KEYS))

    def parts(self, limit: int = PART) -> Iterator[NDArray[Any]]:
        """All rows, by ascending ranges of keys that hold at most `limit` rows, or one key. A key is in one part; none is empty."""
        if not self._counts:
            return
        counts = np.stack(self._counts)
        ends = np.cumsum(counts.sum(axis=0))
        starts = np.cumsum(counts.ravel()).reshape(counts.shape) - counts
        key = 0
        while key < KEYS:
            before = int(ends[key - 1]) if key else 0
            stop = max(key + 1, int(np.searchsorted(ends, before + limit, side="right")))
            sizes = counts[:, key:stop].sum(axis=1)
            if sizes.any():
                yield self._read(starts[:, key], sizes)
            key = stop

    def _read(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[Any]:
        part = np.empty(int(sizes.sum()), dtype=self._rows)
        filled = 0
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            self._file.seek(start * self._rows.itemsize)
            into = memoryview(part[filled : filled + size]).cast("B") if size else memoryview(b"")
            if self._file.readinto(into) != len(into):
                raise OSError("a temporary file is shorter than what was written to it")
            filled += size
        return part
