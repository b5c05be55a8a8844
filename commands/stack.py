"""`driftline up|down|status`: the servers, the schema, a worker and the page."""

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from driftline import embedded
from driftline.commands.context import load, load_settings, wait_for
from driftline.commands.output import FAILED, Json, cell, console, grid, print_json
from driftline.db import connection as db_connection
from driftline.operations import status as operations_status
from driftline.operations.context import Context


def up(
    worker: Annotated[bool, typer.Option(help="Start a worker for all task queues here.")] = True,
    web: Annotated[bool, typer.Option(help="Start the page beside the worker.")] = True,
    json: Json = False,
) -> None:
    """Start what is not configured elsewhere: Postgres, Temporal with its web UI, one worker, the page. Migrates the schema.

    With `postgres_url` or `temporal_address` set, that server is used and none is started.
    """
    from driftline.commands.web import link_to
    from driftline.operations import stack  # with Temporal's client

    context = load()
    with nullcontext() if json else console.status("starting"):
        wait_for(stack.start(context, worker, web))
    _show(context, json)
    if not json and embedded.status(context.settings.home).web:
        console.print(f"log in    {link_to(context.settings)}", highlight=False, soft_wrap=True, markup=False)


def down() -> None:
    """Stop the page, the worker (it drains and checkpoints), Temporal and Postgres. Data stays; `up` goes on where it was."""
    from driftline.operations import stack

    settings = load_settings()
    with console.status("stopping"):
        stack.stop(settings)
    console.print("stopped")


def status(json: Json = False) -> None:
    """Addresses, what runs, what waits for review, and which table each channel serves."""
    _show(load(), json)


def _show(context: Context, json: bool) -> None:
    state = wait_for(operations_status.status(context))
    facts: dict[str, Any] = {name: value for name, value in vars(state).items() if name != "serving"}
    facts |= vars(state.serving) if state.serving else {}
    if json:
        print_json(facts)
    else:
        _draw(facts)
    if state.serving is None:
        raise typer.Exit(FAILED)


def draw_addresses(context: Context) -> None:
    """Where to look: Temporal's web UI and Postgres."""
    postgres = db_connection.without_password(embedded.reader_url(context.settings))
    console.print(f"Temporal UI  {context.addressed.temporal_ui}", highlight=False)
    console.print(f"Postgres     {postgres}", highlight=False, soft_wrap=True)


def _draw(facts: dict[str, Any]) -> None:
    colour = {"running": "green", "external": "blue", "stopped": "red"}
    for part in ("postgres", "temporal", "worker", "web"):
        address = facts.get({"postgres": "postgres_url", "temporal": "temporal_ui", "web": "web_address"}.get(part, ""), "")
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
        grid("runs", ("workflow", "status", "stage", "started"), [tuple(vars(run).values()) for run in facts["runs"]])
    for review in facts["reviews"]:
        console.print(f"[yellow]table {review.candidate} waits for review[/]: `driftline review show {review.review_id}`")
    for channel, version in facts["channels"].items():
        console.print(f"channel [bold]{channel}[/] serves table [bold]{version}[/]")
    for served in facts["not_approved"]:
        console.print(f"[red]{cell(served.warning)}[/]", highlight=False)
