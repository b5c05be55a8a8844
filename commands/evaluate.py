"""`driftline evaluate`: measure on your own log whether interests move, and whether following them pays."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError

import db.measurements
import db.models
from commands.context import Set, connect, engine, load_settings, wait_for
from commands.follow import follow
from commands.output import DONE, FAILED, USAGE, Json, cell, console, errors, print_json
from commands.run import failure, nominal_or_end_of_log, warn_without_worker
from contracts import EvaluateInput, EvaluateOutcome, Window
from settings import Settings
from sources.log import span
from workflows import policies

app = typer.Typer(
    help="Measure on your own log whether interests move and whether following them pays. Each is a durable run that resumes; "
    "`driftline report` shows the results.",
    no_args_is_help=True,
)

From = Annotated[
    datetime | None,
    typer.Option(
        "--from",
        formats=["%Y-%m-%d"],
        help="First held-out day. Default: `measures.held_out_days` before --to, or the first after the newest training window.",
    ),
]
To = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], help="Midnight (UTC) that ends the held-out days. Default: the end of the log."),
]
Every = Annotated[str | None, typer.Option(metavar="DAYS", help="How often to refresh, e.g. `2d`. Default: `measures.every`.")]
Wait = Annotated[bool, typer.Option("--wait", help="Draw progress until the numbers are there.")]
ClusterSet = Annotated[int | None, typer.Option(help="Cluster set version. Default: the newest; of a model, its own.")]

WORKFLOWS = {
    "drift": "EvaluateDrift",
    "refresh": "EvaluateRefresh",
    "answers": "EvaluateAnswers",
    "retrieval": "EvaluateRetrieval",
}


@app.command()
def drift(to: To = None, wait: Wait = False, cluster_set: ClusterSet = None, settings: Set = None, json: Json = False) -> None:
    """How fast do interests move beyond sampling noise, and how soon are retrieved facts stale? No LLM is asked."""
    raise typer.Exit(_evaluate("drift", settings, None, to, None, cluster_set, wait, json))


@app.command()
def refresh(
    from_: From = None,
    to: To = None,
    every: Every = None,
    wait: Wait = False,
    cluster_set: ClusterSet = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """What does refreshing buy? Replay held-out days with no RAG, RAG of day 1, RAG renewed, and two tables made by counting."""
    raise typer.Exit(_evaluate("refresh", settings, from_, to, every, cluster_set, wait, json))


@app.command()
def answers(
    from_: From = None,
    to: To = None,
    wait: Wait = False,
    cluster_set: ClusterSet = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """How much does RAG change what the LLM answers, beside how much it changes its mind by itself?"""
    raise typer.Exit(_evaluate("answers", settings, from_, to, None, cluster_set, wait, json))


@app.command()
def retrieval(
    from_: From = None,
    to: To = None,
    wait: Wait = False,
    cluster_set: ClusterSet = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Which retrieval is best here: instance or global, by frequency or trend, one or more clusters?"""
    raise typer.Exit(_evaluate("retrieval", settings, from_, to, None, cluster_set, wait, json))


def request(
    settings: Settings,
    begin: datetime | None,
    to: datetime | None,
    every: str | None = None,
    cluster_set: int | None = None,
    model: int | None = None,
) -> EvaluateInput:
    """The same days for every evaluation, unless told otherwise; with `model`, of that one and its cluster set.

    Raises:
        ValueError: the period is empty, or the log has no event.
    """
    end = nominal_or_end_of_log(settings, to)
    first, _ = span(settings.source)
    start = begin.replace(tzinfo=UTC) if begin else _held_out(settings, end, cluster_set, model)
    if start >= end:
        raise ValueError(
            f"no held-out period: it would begin on {start:%Y-%m-%d} and end on {end:%Y-%m-%d}; choose --from and --to"
        )
    measures = replace(settings.measures, every=_days(every)) if every else settings.measures
    return EvaluateInput(
        source=settings.source,
        windows=settings.rag_refresh,
        period=Window(start, end),
        log_start=first.replace(hour=0, minute=0, second=0, microsecond=0),
        sequences=settings.sequences,
        counting=settings.counting,
        retrieval=settings.retrieval,
        generation=settings.generation,
        measures=measures,
        cluster_set=cluster_set,
        model=model,
    )


def _held_out(settings: Settings, end: datetime, cluster_set: int | None, model: int | None) -> datetime:
    """So many days before the end as the settings say; fewer where the model has learned from some of them."""
    wanted = end - timedelta(days=settings.measures.held_out_days)
    with engine(settings).connect() as connection:
        if model is None:
            if db.models.newest_trained_before(connection, wanted, cluster_set):
                return wanted
            latest = db.models.newest_trained_before(connection, end - timedelta(days=1), cluster_set)
            model = latest.version if latest else None
        ended = db.models.trained_until(connection, model) if model else wanted
    return max(wanted, ended) if ended < end else wanted


async def run(settings: Settings, what: str, asked: EvaluateInput, quiet: bool = False) -> EvaluateOutcome:
    """Start an evaluation, or join the one of the same days that is under way, and draw it to its end.

    Raises:
        ValueError: it failed; its own words.
    """
    handle = await _start(settings, what, asked)
    warn_without_worker(settings)
    await follow(handle, quiet=quiet)
    try:
        outcome: EvaluateOutcome = await handle.result()
    except WorkflowFailureError as error:
        raise ValueError(f"{handle.id}: {failure(error)}") from None
    return outcome


async def _start(settings: Settings, what: str, asked: EvaluateInput) -> WorkflowHandle[Any, EvaluateOutcome]:
    client = await connect(settings)
    name = f"evaluate-{what}-{asked.period.start:%Y-%m-%d}-{asked.period.end:%Y-%m-%d}" + (
        f"-model-{asked.model}" if asked.model else ""
    )
    try:
        return await client.start_workflow(
            WORKFLOWS[what], asked, id=name, task_queue=policies.WORKFLOWS, result_type=EvaluateOutcome
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle(name, result_type=EvaluateOutcome)


def _evaluate(
    what: str,
    overrides: list[str] | None,
    begin: datetime | None,
    to: datetime | None,
    every: str | None,
    cluster_set: int | None,
    wait: bool,
    json: bool,
) -> int:
    settings = load_settings(overrides)
    asked = request(settings, begin, to, every, cluster_set)
    if not wait:
        handle = wait_for(_start(settings, what, asked))
        warn_without_worker(settings)
        if json:
            print_json({"workflow_id": handle.id, "measurements": None})
        else:
            console.print(f"started [bold]{handle.id}[/]; follow it with `driftline status`, then `driftline report`")
        return DONE
    try:
        outcome = wait_for(run(settings, what, asked, quiet=json))
    except ValueError as error:
        if json:
            print_json({"measurements": None, "error": str(error)})
        else:
            errors.print(f"[red]error:[/] {cell(str(error))}", highlight=False)
        return FAILED
    with engine(settings).connect() as connection:
        measured = [db.measurements.get(connection, ref.version) for ref in outcome.measurements]
    if json:
        print_json({"measurements": measured, "model": outcome.model})
    else:
        for ref in outcome.measurements:
            console.print(f"[green]measured:[/] {ref.kind}, measurement {ref.version}", *ref.missing, sep="\n  ", highlight=False)
        console.print("`driftline report` shows what it means")
    return DONE


def _days(text: str) -> timedelta:
    found = re.fullmatch(r"\s*(\d+)\s*d(ays?)?\s*", text)
    if not found or int(found[1]) < 1:
        errors.print(f"[red]--every {cell(text)}[/] is not a number of days such as 2d", highlight=False)
        raise typer.Exit(USAGE)
    return timedelta(days=int(found[1]))
