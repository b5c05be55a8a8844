"""`driftline evaluate`: measure on your own log whether interests move, and whether following them pays."""

import re
from datetime import datetime, timedelta
from typing import Annotated

import typer

from driftline.commands.context import Set, load, wait_for, warn_without_worker
from driftline.commands.follow import follow
from driftline.commands.output import DONE, FAILED, USAGE, Json, cell, console, errors, grid, percent, print_json
from driftline.contracts import MeasurementInput, MeasurementOutcome
from driftline.interests.metrics import HitRates
from driftline.interests.metrics.policy import Policy
from driftline.operations import measurements
from driftline.operations.context import Context
from driftline.operations.runs import RunFailed

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


@app.command()
def drift(to: To = None, wait: Wait = False, cluster_set: ClusterSet = None, settings: Set = None, json: Json = False) -> None:
    """How fast do interests move beyond sampling noise, and how soon are retrieved facts stale? No LLM is asked."""
    raise typer.Exit(_measure("drift", settings, None, to, None, cluster_set, wait, json))


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
    raise typer.Exit(_measure("refresh", settings, from_, to, every, cluster_set, wait, json))


@app.command(
    "policy", help="What do items of the predicted interest bring, and cost? Replay held-out days beside the recommender alone."
)
@app.command("retrieval", help="Which retrieval is best here: instance or global, by frequency or trend, one or more clusters?")
@app.command("answers", help="How much does RAG change what the LLM answers, beside how much it changes its mind by itself?")
def held_out(
    asked: typer.Context,
    from_: From = None,
    to: To = None,
    wait: Wait = False,
    cluster_set: ClusterSet = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    raise typer.Exit(_measure(str(asked.info_name), settings, from_, to, None, cluster_set, wait, json))


async def run(context: Context, what: str, request: MeasurementInput, quiet: bool = False) -> MeasurementOutcome:
    """Start a measurement, or join the one of the same days that is under way, and draw it to its end.

    Raises:
        RunFailed: it failed; its own words.
    """
    handle = await measurements.start(context, what, request)
    warn_without_worker(context)
    await follow(handle, quiet=quiet)
    return await measurements.outcome(handle)


def _measure(
    what: str,
    overrides: list[str] | None,
    begin: datetime | None,
    to: datetime | None,
    every: str | None,
    cluster_set: int | None,
    wait: bool,
    json: bool,
) -> int:
    context = load(overrides)
    request = measurements.request(context, begin, to, _days(every) if every else None, cluster_set)
    if not wait:
        handle = wait_for(measurements.start(context, what, request))
        warn_without_worker(context)
        if json:
            print_json({"workflow_id": handle.id, "measurements": None})
        else:
            console.print(f"started [bold]{handle.id}[/]; follow it with `driftline status`, then `driftline report`")
        return DONE
    try:
        outcome = wait_for(run(context, what, request, quiet=json))
    except RunFailed as error:
        if json:
            print_json({"measurements": None, "error": str(error)})
        else:
            errors.print(f"[red]error:[/] {cell(str(error))}", highlight=False)
        return FAILED
    if json:
        print_json({"measurements": measurements.read(context, outcome), "model": outcome.model})
    else:
        for ref in outcome.measurements:
            console.print(f"[green]measured:[/] {ref.kind}, measurement {ref.version}", *ref.missing, sep="\n  ", highlight=False)
        for found in measurements.read(context, outcome):
            if isinstance(found.result, HitRates):
                _draw(found.result)
            if isinstance(found.result, Policy):
                _draw_policy(found.result)
        console.print("`driftline report` shows what it means")
    return DONE


def _draw(hits: HitRates) -> None:
    """Every arm's hit rate, and its place on the frontier: the page has the intervals and the definitions."""
    best = {name for line in hits.frontiers for name in line.arms}
    rows = [
        (
            arm.name,
            percent(arm.rate.value),
            percent(arm.recall.value if arm.recall else None),
            "" if arm.effective_clusters is None else f"{arm.effective_clusters:.1f}",
            percent(arm.novel.value),
            percent(arm.uptake.value if arm.uptake else None),
            "unbeaten" if arm.name in best else "",
        )
        for arm in hits.arms
    ]
    chance = ("chance", percent(hits.chance), "", "", "", percent(hits.uptake_chance), "")
    grid("", ("arm", "hit rate", "recall", "effective clusters", "new to the user", "uptake", "frontier"), [*rows, chance])


def _draw_policy(policy: Policy) -> None:
    """Draws, for each way to choose items, the shares of users and how many items it shows."""
    rows = [
        (
            arm.name,
            *(percent(estimate.value) for estimate in (arm.interest, arm.explored, arm.item, arm.novel)),
            f"{arm.items:,} of {policy.catalogue:,}",
        )
        for arm in policy.arms
    ]
    columns = ("arm", "turned to a new interest", "took an item of it", "took any item", "items of a new interest", "items shown")
    grid(f"{policy.users:,} users, {policy.at} items each", columns, rows)


def _days(text: str) -> timedelta:
    found = re.fullmatch(r"\s*(\d+)\s*d(ays?)?\s*", text)
    if not found or int(found[1]) < 1:
        errors.print(f"[red]--every {cell(text)}[/] is not a number of days such as 2d", highlight=False)
        raise typer.Exit(USAGE)
    return timedelta(days=int(found[1]))
