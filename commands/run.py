"""`driftline run fine-tune|rag-refresh|recommender`: start one update by hand."""

from datetime import datetime
from typing import Annotated

import typer
from temporalio.exceptions import WorkflowAlreadyStartedError

from driftline.commands.context import Set, load, wait_for, warn_without_worker
from driftline.commands.follow import follow
from driftline.commands.output import (
    DONE,
    FAILED,
    WAITING,
    Json,
    both_names,
    cell,
    console,
    errors,
    grid,
    percent,
    print_json,
)
from driftline.contracts import FineTuneInput, RagRefreshInput, RecommenderInput, RunOutcome
from driftline.db.recommenders import RecommenderVersion
from driftline.db.tables import TransitionTable
from driftline.interests.metrics.estimates import Estimate
from driftline.operations import recommenders, runs, tables
from driftline.operations.context import Context
from driftline.operations.runs import RunFailed, RunHandle

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
    context = load(settings)
    nominal = runs.nominal_or_end_of_log(context.settings, at)
    request = runs.fine_tune_input(context.settings, nominal, cluster_set)
    raise typer.Exit(wait_for(_run(context, request, f"fine-tune-{nominal:%Y-%m-%d}", wait, json)))


@app.command("rag-refresh")
def rag_refresh(
    at: At = None, wait: Wait = False, cluster_set: ClusterSet = None, settings: Set = None, json: Json = False
) -> None:
    """Let the newest approved model answer every pair again with fresh retrieved clusters, and publish."""
    context = load(settings)
    nominal = runs.nominal_or_end_of_log(context.settings, at)
    request = runs.rag_refresh_input(context.settings, nominal, cluster_set)
    raise typer.Exit(wait_for(_run(context, request, f"rag-refresh-{nominal:%Y-%m-%d}", wait, json)))


@app.command()
def recommender(
    at: At = None, wait: Wait = False, cluster_set: ClusterSet = None, settings: Set = None, json: Json = False
) -> None:
    """Train the sequence recommender, which returns items of an interest. Again on the same days: only new items are added."""
    context = load(settings)
    nominal = runs.nominal_or_end_of_log(context.settings, at)
    request = recommenders.recommender_input(context.settings, nominal, cluster_set)
    raise typer.Exit(wait_for(_recommender(context, request, f"recommender-{nominal:%Y-%m-%d}", wait, json)))


async def _recommender(context: Context, request: RecommenderInput, name: str, wait: bool, json: bool) -> int:
    handle = await recommenders.start(context, request, name)
    warn_without_worker(context)
    if not wait:
        if json:
            print_json({"workflow_id": handle.id, "run_id": handle.first_execution_run_id, "recommender": None})
        else:
            console.print(f"started [bold]{handle.id}[/]; follow it with `driftline status`")
        return DONE
    await follow(handle, quiet=json)
    try:
        made = await runs.result(handle)
    except RunFailed as error:
        if json:
            print_json({"workflow_id": handle.id, "recommender": None, "error": str(error)})
        else:
            errors.print(f"[red]{handle.id} failed:[/] {cell(str(error))}", highlight=False)
        return FAILED
    found = recommenders.get(context, made.version)
    if json:
        print_json({"workflow_id": handle.id, "recommender": found})
    else:
        draw_recommender(found)
    return DONE


def draw_recommender(recommender: RecommenderVersion) -> None:
    """A recommender's lists on its test days, beside those of popularity, ever and lately, and of the last item's neighbours."""
    new = f", {recommender.new_items:,} by their text" if recommender.new_items else ""
    console.print(f"[green]recommender {recommender.version}[/]: {recommender.items:,} items{new}", highlight=False)
    for where, ranking in recommender.measured.items():
        rows = [(arm.name, *(interval(estimate) for estimate in (arm.ndcg, arm.hit))) for arm in ranking.arms]
        about = f"{where}: {ranking.cases:,} lists of {ranking.users:,} users on the test days"
        grid(about, ("arm", f"NDCG@{ranking.at}", f"hit@{ranking.at}"), rows)


def interval(estimate: Estimate) -> str:
    """A share with its 95 % interval over users."""
    if estimate.value is None:
        return "–"
    bounds = "" if estimate.low is None or estimate.high is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{bounds}"


async def _run(context: Context, request: FineTuneInput | RagRefreshInput, name: str, wait: bool, json: bool) -> int:
    try:
        handle = await runs.start(context, request, name)
    except WorkflowAlreadyStartedError:
        raise ValueError(
            f"{name} is already under way with the settings it was started with: see `driftline status`; "
            "decide on its candidate (`driftline review list`) or let it end first"
        ) from None
    warn_without_worker(context)
    if wait:
        return await finish(context, handle, json)
    if json:
        print_json({"workflow_id": handle.id, "run_id": handle.first_execution_run_id, "outcome": None})
    else:
        console.print(f"started [bold]{handle.id}[/]; follow it with `driftline status`")
    return DONE


async def finish(context: Context, handle: RunHandle, json: bool = False) -> int:
    """Draw the run until it ends or waits for review, and say how. Returns the exit code."""
    ended = await follow(handle, quiet=json)
    if not ended:
        status = await runs.status(handle)
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
        outcome = await runs.result(handle)
    except RunFailed as error:
        if json:
            print_json({"workflow_id": handle.id, "outcome": "failed", "error": str(error)})
        else:
            errors.print(f"[red]{handle.id} failed:[/] {cell(str(error))}", highlight=False)
        return FAILED
    return _report(context, handle.id, outcome, json)


def _report(context: Context, workflow_id: str, result: RunOutcome, json: bool) -> int:
    if json:
        print_json({"workflow_id": workflow_id, **vars(result)})
    else:
        colour = "green" if result.outcome == "published" else "yellow"
        console.print(
            f"[{colour}]{result.outcome}[/]: table {result.table}, model {result.model or 'none'}, attempt {result.attempts}"
        )
        draw_quality(tables.get(context, result.table))
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
