"""A sentence of a report, and for what it speaks. By itself, so that whoever only shows sentences loads nothing that measures."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "neutral", "bad"]


@dataclass(frozen=True)
class Finding:
    """One sentence or two. `good` speaks for switching the table or the refresh on, `bad` against, `neutral` for neither."""

    level: Level
    text: str
