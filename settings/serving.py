"""The server of look-ups."""

import dataclasses
from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts import STRICT


@dataclass(frozen=True, config=STRICT)
class Serving:
    """The server of look-ups by HTTP (`driftline serve`)."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8480
    """0 takes a free one."""
    processes: Annotated[int, Field(ge=1, le=256)] = 2
    """About one per core."""
    channels: dict[str, Annotated[float, Field(ge=0)]] = dataclasses.field(default_factory=dict)
    """Channels and their weights, e.g. `{default = 0.9, treatment = 0.1}`: a request that names a user and no channel gets one by
    a hash of the user. Empty: always `channel`."""
    salt: str = "driftline"
    """Goes into that hash. Another salt is another split of the users."""
    items: bool = False
    """Also recommend items of the interests where a request asks for some, by the newest recommender of the cluster set."""
    poll: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=3)
    """Time between two looks for a publication, should its notification be lost."""

    def __post_init__(self) -> None:
        if self.channels and not any(self.channels.values()):
            raise ValueError("serving.channels: at least one weight has to be above 0")
