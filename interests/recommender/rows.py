"""An item is a row of its index; that takes no Arrow, of which serving would have a thread before it forks."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
NOTHING = -1
"""Where a history is shorter than its place, and of an item that the index does not have."""
