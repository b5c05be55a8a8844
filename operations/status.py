"""What runs here, what waits for review, and which table each channel serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from driftline import embedded
from driftline.db import channels as db_channels
from driftline.db import connection as db_connection
from driftline.db import reviews as db_reviews
from driftline.db.channels import ServedTable
from driftline.db.reviews import Review
from driftline.operations.context import Context

if TYPE_CHECKING:
    from driftline.operations.runs import RunSummary

PartState = Literal["external", "running", "stopped"]


@dataclass(frozen=True)
class LiveStatus:
    """Where the servers are, what runs, what waits, and which table each channel serves."""

    postgres_url: str
    temporal_address: str
    temporal_ui: str
    open_doors: str
    """Why every user of this machine reaches the embedded Temporal; empty if only its owner does."""
    runs: list[RunSummary]
    reviews: list[Review]
    channels: dict[str, int]
    not_approved: list[ServedTable]
    """Channels that serve a table which may no longer be served."""


@dataclass(frozen=True)
class Status:
    """What of Driftline runs in this home. `serving` is None while a server is stopped."""

    home: str
    postgres: PartState
    temporal: PartState
    worker: PartState
    web: PartState
    web_address: str
    """Of the page that runs here."""
    serving: LiveStatus | None = None


async def status(context: Context) -> Status:
    """What runs here. Starts nothing."""
    settings, state = context.settings, embedded.status(context.settings.home)
    postgres: PartState = "external" if settings.postgres_url else _running(state.postgres)
    temporal: PartState = "external" if settings.temporal_address else _running(state.temporal)
    open_doors = state.open_doors if temporal == "running" else ""
    serving = await _serving(context, open_doors) if "stopped" not in (postgres, temporal) else None
    web_address = state.web_address if state.web else ""
    parts = (postgres, temporal, _running(state.worker), _running(state.web))
    return Status(str(settings.home.absolute()), *parts, web_address, serving)


async def _serving(context: Context, open_doors: str) -> LiveStatus:
    from driftline.operations import runs  # with Temporal's client

    addressed, newest = context.addressed, await runs.newest(context)
    with context.engine.connect() as connection:
        waiting, served = db_reviews.waiting(connection), db_channels.served(connection)
    return LiveStatus(
        db_connection.without_password(embedded.reader_url(context.settings)),
        addressed.temporal_address,
        addressed.temporal_ui,
        open_doors,
        newest,
        waiting,
        {table.channel: table.version for table in served},
        [table for table in served if not table.approved],
    )


def _running(process: object | None) -> PartState:
    return "running" if process else "stopped"
