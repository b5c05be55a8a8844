"""Users to channels by a salted hash: the same user gets the same channel on every machine, and no list has to be kept."""

from collections.abc import Mapping
from hashlib import sha256
from itertools import accumulate


def share(user: str, salt: str) -> float:
    """A number in [0, 1) that is a user's own; under another salt it is another, and independent."""
    return int.from_bytes(sha256(f"{salt}\0{user}".encode()).digest()[:8], "big") / 2**64


def channel_of(user: str, weights: Mapping[str, float], salt: str) -> str:
    """The channel of a user: each gets its weight's part of all users.

    The channels divide [0, 1) in the order of `weights`. Whoever moves weight between two neighbours moves only as many users.

    Args:
        weights: at least one positive, none negative; they need not sum to 1.
    """
    bound = share(user, salt) * sum(weights.values())
    names = [name for name, weight in weights.items() if weight > 0]
    ends = accumulate(weights[name] for name in names)
    return next((name for name, end in zip(names, ends, strict=True) if bound < end), names[-1])
