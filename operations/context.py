"""Settings, Postgres and Temporal of one command or request, each resolved once, when it is first needed."""

from __future__ import annotations

import asyncio
from functools import cache, cached_property
from typing import TYPE_CHECKING

from driftline import embedded
from driftline.db import connection as db_connection
from driftline.db.connection import Engine
from driftline.settings import Settings

if TYPE_CHECKING:  # a command that only asks Postgres starts without it
    from temporalio.client import Client
    from temporalio.runtime import Runtime

CONNECT_SECONDS = 10.0


class Unreachable(RuntimeError):
    """A server that the use case needs does not answer."""


class Context:
    """What every use case is given.

    Attributes:
        settings: as they were read; `addressed` has the embedded servers' addresses, too.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client: Client | None = None

    @cached_property
    def addressed(self) -> Settings:
        """The settings with the addresses of the servers that run here where no other is set.

        Raises:
            RuntimeError: nothing was started here yet.
        """
        return embedded.addressed(self.settings)

    @cached_property
    def engine(self) -> Engine:
        """Postgres, its schema checked."""
        engine = db_connection.connect(self.addressed.postgres_url)
        db_connection.require_schema(engine)
        return engine

    async def temporal(self) -> Client:
        """Temporal.

        Raises:
            Unreachable: nothing answers at the address.
        """
        if self._client is None:
            self._client = await connect(self.addressed)
        return self._client

    def allow(self) -> None:
        """Let the workers that share this home read what these settings name. Whatever starts a run calls it first."""
        from driftline.activities.allowed import Allowed

        Allowed(self.settings.home).add(self.settings)

    @property
    def lacks_worker(self) -> bool:
        """Whether the embedded worker is needed and does not run; of a Temporal that runs elsewhere nothing is known."""
        return not self.settings.temporal_address and embedded.status(self.settings.home).worker is None


async def connect(settings: Settings) -> Client:
    """Temporal at the settings' address. Raises Unreachable."""
    from temporalio.service import RPCError

    from driftline import temporal_client

    try:
        return await asyncio.wait_for(temporal_client.connect(settings, _quiet()), CONNECT_SECONDS)
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise Unreachable(
            f"Temporal does not answer at {settings.temporal_address}: start it with `driftline up` ({error})"
        ) from None


@cache
def _quiet() -> Runtime:
    """A runtime without the SDK's own log lines on standard output: the caller says itself what is wrong."""
    from temporalio.runtime import Runtime, TelemetryConfig

    return Runtime(telemetry=TelemetryConfig(logging=None))
