"""Vectors on a grid so coarse that products of them are exact, and a sum of products is the same in any order.

Processors add the terms of a product in different orders, and so round its last bits differently; what has to be compared would
then fall to one side here and to the other there. Multiples of 2⁻¹¹ have products that are multiples of 2⁻²², and by
Cauchy-Schwarz no part of their sum is larger than the product of the lengths: below 4 float32 holds it without rounding.
"""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

STEP = 2.0**-11
"""For products in float32, of vectors whose lengths multiply to less than 4. It moves a cosine by 0.0002 or so."""
FINE = 2.0**-20
"""For products in float64, of any vectors shorter than 16."""


def on_grid(vectors: Vectors, step: float = STEP) -> Vectors:
    """The nearest multiples of `step`, a power of two; float32 of the same shape."""
    found: Vectors = np.rint(vectors * np.float32(1 / step))
    found *= np.float32(step)
    return found
