"""How long versions are kept."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts import STRICT


@dataclass(frozen=True, config=STRICT)
class Retention:
    """What `driftline prune` keeps beside what something needs."""

    days: Annotated[int, Field(ge=7, le=36_525)] = 30
    """Everything of the last so many days; a channel can go back to every table that it served in them."""
