"""The servers, the schema and a worker: bring them up, and end them."""

import asyncio
import importlib.util
import time
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from driftline import embedded
from driftline.db import connection as db_connection
from driftline.operations.context import Context, Unreachable
from driftline.operations.polls import Queue, last_polls
from driftline.settings import Settings
from driftline.workflows import attributes, policies

WORKER_SECONDS = 60
FIRST_CONNECTION_SECONDS = 30

_types = {
    attributes.STAGE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    attributes.TABLE.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
}


async def start(context: Context, worker: bool = True, web: bool = True) -> None:
    """Bring everything up that is not configured elsewhere; returns when the worker polls, and the page answers.

    Args:
        web: the page beside the worker, where its extra is installed.
    """
    settings = context.settings
    home = settings.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (settings.postgres_url and settings.temporal_address):
        embedded.up(home, postgres=not settings.postgres_url, temporal=not settings.temporal_address)
    db_connection.migrate(embedded.owner_url(settings))
    await _prepare(await _first_connection(context))
    if worker:
        embedded.start_worker(home, {})
        if web and importlib.util.find_spec("authlib"):  # the extra `serve` has starlette, too
            embedded.start_web(home, settings.web.port)
        await _await_worker(context)


def stop(settings: Settings) -> None:
    """Stop the page, the worker (it drains and checkpoints first), Temporal and Postgres. Data stays."""
    embedded.stop(settings.home, drain_seconds=settings.drain.total_seconds() + 30)


async def _prepare(client: Client) -> None:
    """The namespace and the search attributes, where they are missing."""
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        keep = Duration(seconds=int(timedelta(days=90).total_seconds()))
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=keep)
        )
    for patience in range(30, -1, -1):  # a new namespace is known everywhere only after some seconds
        try:
            return await add_search_attributes(client)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND or not patience:
                raise
        await asyncio.sleep(1)


async def add_search_attributes(client: Client) -> None:
    """Adds the search attributes that the namespace does not have yet."""
    for name, kind in _types.items():
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes={name: kind})
            )
        except RPCError as error:
            if error.status != RPCStatusCode.ALREADY_EXISTS:
                raise


async def _first_connection(context: Context) -> Client:
    deadline = time.monotonic() + FIRST_CONNECTION_SECONDS
    while True:
        try:
            return await context.temporal()
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1)


async def _await_worker(context: Context) -> None:
    """Waits until the worker serves: the last task queue that it polls is the sign, its process id in the poller's name."""
    client, home, last = await context.temporal(), context.settings.home, Queue(policies.GENERATE, slots=1)
    deadline = time.monotonic() + WORKER_SECONDS
    while (process := embedded.status(home).worker) is not None and time.monotonic() < deadline:
        if any(identity.startswith(f"{process.pid}@") for identity in await last_polls(client, last)):
            return
        await asyncio.sleep(0.5)
    raise Unreachable(f"the worker did not start: see {home.absolute() / 'logs' / 'worker.log'}")
