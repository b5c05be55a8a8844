"""Notifications: what people are told of a run, and of what no run says."""

from typing import Literal

from pydantic.dataclasses import dataclass

from driftline.contracts.knobs.notifications import Event
from driftline.contracts.versions import RunIds


@dataclass(frozen=True)
class Notification:
    """Something that happened: facts only. The words are made where it is sent, and addresses are known only there."""

    event: Event
    key: str
    """The same key is sent once to each target."""
    run: RunIds | None = None
    channel: str | None = None
    table: int | None = None
    review_id: str | None = None
    why: str = ""
    """A sentence, where no record has it: what a run failed with, what was found."""
    experiment: str | None = None


@dataclass(frozen=True)
class Tell:
    told: Notification
    queue: str
    """Task queue of those who send it."""


@dataclass(frozen=True)
class Delivery:
    """State of a notification at one target."""

    target: str
    state: Literal["claimed", "sent", "failed"]
    """`claimed`: another attempt is at it."""
    said: str
    """What the target answered, in words of ours: an answer may repeat the address."""


@dataclass(frozen=True)
class WatchInput:
    schedules: tuple[str, ...]
    """Ids in Temporal whose skipped and missed starts are told."""
