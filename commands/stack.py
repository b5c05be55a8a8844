"""`driftline up|down|status`: the servers, the schema and a worker."""

import asyncio
import time
from contextlib import nullcontext
from datetime import timedelta
from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import make_url
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

import db.channels
import db.connection
import db.reviews
import embedded
from commands.context import Unreachable, connect, engine, load_settings, wait_for
from commands.output import FAILED, Json, cell, console, grid, print_json
from settings import Settings
from workflows import attributes, policies

WORKER_SECONDS = 60


def up(worker: Annotated[bool, typer.Option(help="Start a worker for all task queues here.")] = True, json: Json = False) -> None:
    """Start what is not configured elsewhere: Postgres, Temporal with its web UI, one worker. Migrates the schema.

    With `postgres_url` or `temporal_address` set, that server is used and none is started.
    """
    loaded = load_settings()
    with nullcontext() if json else console.status("starting"):
        start(loaded, worker)
    _show(loaded, json)


def start(settings: Settings, worker: bool = True) -> None:
    """Bring everything up; returns when the worker polls."""
    home = settings.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (settings.postgres_url and settings.temporal_address):
        embedded.up(home, postgres=not settings.postgres_url, temporal=not settings.temporal_address)
    db.connection.migrate(embedded.addressed(settings).postgres_url)
    wait_for(_prepare(settings))
    if worker:
        embedded.start_worker(home, {})
        wait_for(_await_worker(settings))


async def _prepare(settings: Settings) -> None:
    """The namespace and the search attributes, where they are missing."""
    client = await _first_connection(settings)
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
            return await attributes.register(client)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND or not patience:
                raise
        await asyncio.sleep(1)


async def _first_connection(settings: Settings) -> Client:
    deadline = time.monotonic() + 30
    while True:
        try:
            return await connect(settings)
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1)


async def _await_worker(settings: Settings) -> None:
    """The last task queue that a worker polls is the sign that it serves; its process id is in the poller's name."""
    client = await connect(settings)
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=policies.GENERATE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    deadline = time.monotonic() + WORKER_SECONDS
    while (process := embedded.status(settings.home).worker) is not None and time.monotonic() < deadline:
        queue = await client.workflow_service.describe_task_queue(request)
        if any(poller.identity.startswith(f"{process.pid}@") for poller in queue.pollers):
            return
        await asyncio.sleep(0.5)
    raise Unreachable(f"the worker did not start: see {settings.home.absolute() / 'logs' / 'worker.log'}")


def down() -> None:
    """Stop the worker (it drains and checkpoints first), Temporal and Postgres. Data stays; `up` goes on where it was."""
    loaded = load_settings()
    with console.status("stopping"):
        embedded.stop(loaded.home, drain_seconds=loaded.drain.total_seconds() + 30)
    console.print("stopped")


def status(json: Json = False) -> None:
    """Addresses, what runs, what waits for review, and which table each channel serves."""
    _show(load_settings(), json)


def _show(settings: Settings, json: bool) -> None:
    state, addressed = embedded.status(settings.home), None
    parts = {
        "postgres": "external" if settings.postgres_url else _running(state.postgres),
        "temporal": "external" if settings.temporal_address else _running(state.temporal),
        "worker": _running(state.worker),
    }
    facts: dict[str, Any] = {"home": str(settings.home.absolute()), **parts}
    if "stopped" not in (parts["postgres"], parts["temporal"]):
        addressed = embedded.addressed(settings)
        facts |= {
            "postgres_url": without_password(addressed.postgres_url),
            "temporal_address": addressed.temporal_address,
            "temporal_ui": addressed.temporal_ui,
            "open_doors": state.open_doors if parts["temporal"] == "running" else "",
            "runs": wait_for(_runs(settings)),
        }
        with engine(settings).connect() as connection:
            facts["reviews"] = db.reviews.waiting(connection)
            facts["channels"] = db.channels.list_channels(connection)
    if json:
        print_json(facts)
    else:
        _draw(facts)
    if addressed is None:
        raise typer.Exit(FAILED)


def without_password(url: str) -> str:
    """For screens and scripts. psql finds the embedded server's password in the home's `pgpass`."""
    open_url = make_url(url)
    return open_url._replace(password=None).difference_update_query(["password"]).render_as_string()


def _running(process: object | None) -> str:
    return "running" if process else "stopped"


def draw_addresses(settings: Settings) -> None:
    """Where to look: Temporal's web UI and Postgres."""
    addressed = embedded.addressed(settings)
    console.print(f"Temporal UI  {addressed.temporal_ui}", highlight=False)
    console.print(f"Postgres     {without_password(addressed.postgres_url)}", highlight=False, soft_wrap=True)


def _draw(facts: dict[str, Any]) -> None:
    colour = {"running": "green", "external": "blue", "stopped": "red"}
    for part in ("postgres", "temporal", "worker"):
        address = facts.get({"postgres": "postgres_url", "temporal": "temporal_ui"}.get(part, ""), "")
        console.print(f"{part:<9} [{colour[facts[part]]}]{facts[part]}[/]  {address}", highlight=False, soft_wrap=True)
    if facts.get("open_doors"):
        console.print(
            "[yellow]every user of this machine reaches Temporal[/]: reads what runs were asked, starts runs of sources that are "
            f"known here, and decides reviews in any name ({cell(facts['open_doors'])})",
            highlight=False,
        )
    if "runs" not in facts:
        console.print("start everything with `driftline up`")
        return
    if facts["runs"]:
        grid("runs", ("workflow", "status", "stage", "started"), [tuple(run.values()) for run in facts["runs"]])
    for review in facts["reviews"]:
        console.print(f"[yellow]table {review.candidate} waits for review[/]: `driftline review show {review.review_id}`")
    for channel, version in facts["channels"].items():
        console.print(f"channel [bold]{channel}[/] serves table [bold]{version}[/]")


async def _runs(settings: Settings, limit: int = 8) -> list[dict[str, Any]]:
    client = await connect(settings)
    return [
        {
            "workflow_id": run.id,
            "status": run.status.name.lower() if run.status else None,
            "stage": run.typed_search_attributes.get(attributes.STAGE),
            "started": run.start_time,
        }
        async for run in client.list_workflows("WorkflowType IN ('FineTune', 'RagRefresh', 'BuildClusters')", limit=limit)
    ]
