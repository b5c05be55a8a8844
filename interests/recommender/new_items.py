"""Vectors of items that a training knew too little of, from their texts: a ridge regression from texts to trained vectors."""

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]

LEAST_EVENTS = 5
"""An item that was trained on fewer gets its vector from its text, if it has one."""
STRENGTH = 1.0
"""Of the ridge, beside the mean squared length of the centred texts."""


def from_texts(texts: Floats32, vectors: Floats32, weight: NDArray[np.float64], asked: Floats32) -> Floats32:
    """The vectors that texts like these have, float32 [m, d].

        min over W of  Σ w · |(text − mean text)·W − (vector − mean vector)|²  +  λ·|W|²

    Args:
        texts, vectors, weight: of the items that are known: embeddings [n, t], trained vectors [n, d], how far each is to be
            trusted [n].
        asked: embeddings of the others, [m, t].
    """
    total = weight.sum()
    if not total:
        return np.zeros((len(asked), vectors.shape[1]), np.float32)
    share = (weight / total)[:, None]
    middle, middle_vector = (share * texts).sum(axis=0), (share * vectors).sum(axis=0)
    centred = texts.astype(np.float64) - middle
    spread = centred.T @ (share * centred)
    ridge = STRENGTH / len(texts) * max(np.trace(spread), 1e-12)
    solved = np.linalg.solve(spread + ridge * np.eye(len(spread)), centred.T @ (share * (vectors - middle_vector)))
    found: Floats32 = ((asked - middle) @ solved + middle_vector).astype(np.float32)
    return found
