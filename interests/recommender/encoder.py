"""The sequence recommender's forward pass in NumPy: from a user's items to the vector that items are scored with.

What `engines/sequence` trains is small: serving needs matrix products only, and no torch. The last coordinate of an item's vector
is its own popularity; a user's vector has a 1 there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.interests.recommender.rows import NOTHING, Rows

Floats32 = NDArray[np.float32]
Weights = dict[str, NDArray[Any]]
EPSILON = 1e-5
AT_ONCE = 512
"""Users that are encoded together: a matter of memory."""


@dataclass(frozen=True)
class Encoder:
    """The sequence recommender's network in NumPy: from the vectors of a user's items to the user's own.

    Attributes:
        weights: by name, as `engines.sequence.model` exports them: `positions` [L, d] (the newest item's is the last), for block
            i `i.query_norm`, `i.feed_norm` [2, d] (scale, shift), `i.mixed` [d, 3d], `i.out` [d, d], `i.up` [d, 4d], `i.down`
            [4d, d] and the bias of each (`i.mixed_bias`, …), then `norm` [2, d].
        heads: of attention; they divide d.
    """

    weights: Weights
    heads: int

    @property
    def length(self) -> int:
        return len(self.weights["positions"])

    @property
    def blocks(self) -> int:
        return sum(name.endswith(".mixed") for name in self.weights)

    def encode(self, rows: Rows, vectors: Floats32) -> Floats32:
        """User vectors, float32 [n, d + 1].

        Args:
            rows: [n, any length], right-aligned, `NOTHING` where there is none; the newest `length` count. Without any item the
                vector is 0 but for popularity.
            vectors: of all items, [items, d + 1].
        """
        parts = [self._some(rows[i : i + AT_ONCE, -self.length :], vectors) for i in range(0, len(rows), AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, vectors.shape[1]), np.float32)

    def _some(self, rows: Rows, vectors: Floats32) -> Floats32:
        w, there = self.weights, rows != NOTHING
        rows = rows[:, ~(~there).all(axis=0)] if there.any() else rows[:, -1:]  # nobody's history is longer
        there = rows != NOTHING
        n, length = rows.shape
        d = w["positions"].shape[1]
        x = vectors[rows][..., :d] * np.float32(np.sqrt(d)) + w["positions"][-length:]
        x = np.where(there[..., None], x, np.float32(0))
        for block in range(self.blocks):
            ends = block == self.blocks - 1  # of the last block only the newest item's place is asked for
            x = self._block(block, x, there, ends)
        user = _norm(x[:, -1], w["norm"])
        user[~there[:, -1]] = 0
        return np.concatenate([user, np.ones((n, 1), np.float32)], axis=1)

    def _block(self, block: int, x: Floats32, there: NDArray[np.bool_], ends: bool) -> Floats32:
        w = {name.partition(".")[2]: weight for name, weight in self.weights.items() if name.startswith(f"{block}.")}
        n, length, d = x.shape
        mixed = _norm(x, w["query_norm"]) @ w["mixed"] + w["mixed_bias"]
        query, key, value = (
            part.reshape(n, length, self.heads, -1).transpose(0, 2, 1, 3) for part in np.split(mixed, 3, axis=-1)
        )
        seen = there[:, None, None, :] & np.tril(np.ones((length, length), dtype=bool))
        if ends:
            x, query, seen = x[:, -1:], query[:, :, -1:], seen[:, :, -1:]
        scores = np.where(seen, query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(d // self.heads)), np.float32(-1e9))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        found = (scores @ value).transpose(0, 2, 1, 3).reshape(n, -1, d)
        x = x + found @ w["out"] + w["out_bias"]
        up = np.maximum(_norm(x, w["feed_norm"]) @ w["up"] + w["up_bias"], 0)
        x = x + up @ w["down"] + w["down_bias"]
        return x


def _norm(x: Floats32, weight: Floats32) -> Floats32:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled: Floats32 = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON)) * weight[0] + weight[1]
    return scaled
