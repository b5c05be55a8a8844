"""`driftline run fine-tune|rag-refresh`: start one update by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError

import db.tables
import embedded
from commands.context import Set, connect, engine, load_settings, wait_for
from commands.follow import follow
from commands.output import DONE, FAILED, WAITING, Json, cell, console, errors, percent, print_json
from contracts import FineTuneInput, RagRefreshInput, RunOutcome, RunStatus
from db.tables import TransitionTable
from settings import Settings
from sources.log import span
from workflows import policies
from workflows.schedules import fine_tune_input, rag_refresh_input

app = typer.Typer(help="Start an update by hand.", no_args_is_help=True)

At = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        help="Nominal date: the run sees the log up to this midnight (UTC). Default: the end of the log, but not after today.",
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Draw progress until the run ends or waits for review (exit code 3).")]
ClusterSet = Annotated[int | None, typer.Option(help="Cluster set version. Default: the newest.")]


@app.command("fine-tune")
def fine_tune(
    at: At = None, wait: Wait = False, cluster_set: ClusterSet = None, settings: Set = None, json: Json = False
) -> None:
    """Count, curate samples, train a LoRA adapter, answer every pair, pass the gates, publish."""
    loaded = load_settings(settings)
    nominal = nominal_or_end_of_log(loaded, at)
    request = replace(fine_tune_input(loaded), nominal=nominal, cluster_set=cluster_set)
    raise typer.Exit(wait_for(_run(loaded, request, f"fine-tune-{nominal:%Y-%m-%d}", wait, json)))


@app.command("rag-refresh")
def rag_refresh(
    at: At = None, wait: Wait = False, cluster_set: ClusterSet = None, settings: Set = None, json: Json = False
) -> None:
    """Let the newest approved model answer every pair again with fresh retrieved clusters, and publish."""
    loaded = load_settings(settings)
    nominal = nominal_or_end_of_log(loaded, at)
    request = replace(rag_refresh_input(loaded), nominal=nominal, cluster_set=cluster_set)
    raise typer.Exit(wait_for(_run(loaded, request, f"rag-refresh-{nominal:%Y-%m-%d}", wait, json)))


def nominal_or_end_of_log(settings: Settings, at: datetime | None) -> datetime:
    """The asked midnight, else the first one after the log's last event."""
    if at is not None:
        return at.replace(tzinfo=UTC)
    _, last = span(settings.source)
    midnight = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return min(midnight, today)


async def _run(settings: Settings, request: FineTuneInput | RagRefreshInput, name: str, wait: bool, json: bool) -> int:
    try:
        handle = await start(await connect(settings), request, name)
    except WorkflowAlreadyStartedError:
        raise ValueError(
            f"{name} is already under way with the settings it was started with: see `driftline status`; "
            "decide on its candidate (`driftline review list`) or let it end first"
        ) from None
    warn_without_worker(settings)
    if wait:
        return await finish(settings, handle, json)
    if json:
        print_json({"workflow_id": handle.id, "run_id": handle.first_execution_run_id, "outcome": None})
    else:
        console.print(f"started [bold]{handle.id}[/]; follow it with `driftline status`")
    return DONE


def warn_without_worker(settings: Settings) -> None:
    if not settings.temporal_address and embedded.status(settings.home).worker is None:
        errors.print("[yellow]no worker runs here, so nothing will happen until `driftline up`[/]")


async def start(client: Client, request: FineTuneInput | RagRefreshInput, name: str) -> WorkflowHandle[Any, RunOutcome]:
    """Start the run.

    Raises:
        WorkflowAlreadyStartedError: one of this name is still under way.
    """
    workflow = "FineTune" if isinstance(request, FineTuneInput) else "RagRefresh"
    return await client.start_workflow(workflow, request, id=name, task_queue=policies.WORKFLOWS, result_type=RunOutcome)


async def finish(settings: Settings, handle: WorkflowHandle[Any, RunOutcome], json: bool = False) -> int:
    """Draw the run until it ends or waits for review, and say how. Returns the exit code."""
    ended = await follow(handle, quiet=json)
    if not ended:
        status = await handle.query("status", result_type=RunStatus)
        if json:
            print_json({"workflow_id": handle.id, "outcome": "review", **both_names(status.review_id), "table": status.table})
        else:
            reasons = status.evaluation.reasons.values() if status.evaluation else ()
            console.print(
                f"[yellow]candidate table {status.table} waits for review[/]", *map(cell, reasons), sep="\n  ", highlight=False
            )
            console.print(f"evidence: `driftline review show {status.review_id}`")
        return WAITING
    try:
        outcome = await handle.result()
    except WorkflowFailureError as error:
        message = failure(error)
        if json:
            print_json({"workflow_id": handle.id, "outcome": "failed", "error": message})
        else:
            errors.print(f"[red]{handle.id} failed:[/] {cell(message)}", highlight=False)
        return FAILED
    return _report(settings, handle.id, outcome, json)


def both_names(review_id: str | None) -> dict[str, str | None]:
    """A review's id for scripts: also as `gate_id`, its name when the stop was called a gate."""
    return {"review_id": review_id, "gate_id": review_id}


def failure(error: BaseException) -> str:
    """The root cause's own words."""
    while error.__cause__ is not None or getattr(error, "cause", None) is not None:
        error = getattr(error, "cause", None) or error.__cause__  # type: ignore[assignment]
    return getattr(error, "message", None) or str(error)


def _report(settings: Settings, workflow_id: str, result: RunOutcome, json: bool) -> int:
    if json:
        print_json({"workflow_id": workflow_id, **vars(result)})
    else:
        colour = "green" if result.outcome == "published" else "yellow"
        console.print(f"[{colour}]{result.outcome}[/]: table {result.table}, model {result.model}, attempt {result.attempts}")
        with engine(settings).connect() as connection:
            draw_quality(db.tables.get(connection, result.table))
    return DONE if result.outcome in ("published", "superseded") else FAILED


def draw_quality(table: TransitionTable) -> None:
    """A table's measures, each beside what it must be read against (design §3.8)."""
    console.print(
        f"table {table.version}: {table.rows} pairs, {table.coverage} of {table.clusters} interests answered, "
        f"exact match {percent(table.exact_match_rate)}\n"
        f"recall {percent(table.recall)}; chance {percent(table.recall_chance)}, most popular successor "
        f"{percent(table.recall_popular)}, most frequent successor of the pair {percent(table.recall_frequent)}",
        highlight=False,
    )
