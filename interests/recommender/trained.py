"""A trained recommender as a folder of arrays: written once, mapped by whoever recommends.

`encoder.npz` (the small weights, and `heads`), `vectors.npy` [items, d + 1], `starts.npy` [|C| + 1], `popular.npy` [items] (users
who took each), `texts.npy` and `text_starts.npy` (the items' ids one after another), `hashes.npy` and `hash_rows.npy` (which row
an id has, by its first eight bytes of SHA-256).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftline.interests.hashes import Hashes, hashed
from driftline.interests.recommender.encoder import Encoder, Weights
from driftline.interests.recommender.rows import NOTHING, Rows

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trained:
    """The arrays of the folder; all but the encoder's are only read where they are needed."""

    encoder: Encoder
    vectors: Floats32
    starts: NDArray[np.int64]
    popular: NDArray[np.int64]
    texts: NDArray[np.uint8]
    text_starts: NDArray[np.int64]
    hashes: Hashes
    hash_rows: Rows

    @property
    def clusters(self) -> int:
        return len(self.starts) - 1

    def item(self, row: int) -> str:
        return bytes(self.texts[self.text_starts[row] : self.text_starts[row + 1]]).decode()

    def rows(self, items: Sequence[str]) -> Rows:
        """Row of each item; `NOTHING` for one that the recommender does not know."""
        if not items or not len(self.hashes):
            return np.full(len(items), NOTHING, np.int32)
        asked = hashed(items)
        at = np.minimum(self.hashes.searchsorted(asked), len(self.hashes) - 1)
        return np.where(self.hashes[at] == asked, self.hash_rows[at], np.int32(NOTHING)).astype(np.int32)


def write(
    folder: Path,
    weights: Weights,
    vectors: Floats32,
    items: Sequence[str],
    starts: NDArray[np.int64],
    popular: NDArray[np.int64],
) -> None:
    """Write a recommender. `weights`: the encoder's, and `heads`. Items whose hash is another's too are not found by their id."""
    encoded = [item.encode() for item in items]
    hashes = hashed(items)
    order = np.argsort(hashes, kind="stable")
    single = np.concatenate([[True], hashes[order][1:] != hashes[order][:-1]]) if len(items) else np.empty(0, bool)
    single[:-1] &= single[1:]
    arrays = {
        "vectors": vectors,
        "starts": starts,
        "popular": popular,
        "texts": np.frombuffer(b"".join(encoded), np.uint8),
        "text_starts": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        "hashes": hashes[order][single],
        "hash_rows": order[single].astype(np.int32),
    }
    np.savez(folder / "encoder.npz", **weights)  # type: ignore[arg-type]
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def read_encoder(path: Path) -> Encoder:
    with np.load(path) as file:
        weights = dict(file)
    return Encoder({name: weight for name, weight in weights.items() if name != "heads"}, int(weights["heads"]))


def read(folder: Path) -> Trained:
    """A recommender, its large arrays mapped: processes of one machine share their memory.

    Raises:
        OSError, ValueError: the folder is not there, or is not one.
    """
    names = ("vectors", "starts", "popular", "texts", "text_starts", "hashes", "hash_rows")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    return Trained(read_encoder(folder / "encoder.npz"), **arrays)
