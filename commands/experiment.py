"""`driftline experiment start|status|report|stop`: two channels compared on live users, day by day."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from driftline.commands.context import Set, load, wait_for, warn_without_worker
from driftline.commands.output import DONE, FAILED, WAITING, Json, cell, console, draw_findings, errors, grid, print_json
from driftline.commands.tables import login
from driftline.operations import experiments
from driftline.operations.experiments import ExperimentState

app = typer.Typer(
    help="Compare two channels on live users: assigned by the hash that `driftline serve` goes by, measured every day, shipped "
    "by way of a review. See docs/experiments.md.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="The experiment's name, as in `driftline experiment status`.")]


@app.command()
def start(
    name: Annotated[str, typer.Argument(help="A new name: letters, digits, `_`, `.` and `-`.")],
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC); may lie in the past. Default: tomorrow."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Start nothing: show what it would find.")] = False,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Start measuring what the settings `[experiment]` describe, and say which effects it can find."""
    context = load(settings)
    design = experiments.design(context, name, from_)
    try:
        effects, why = experiments.detectable(context, design), ""
    except (ValueError, OSError) as error:
        if plan:
            raise
        effects, why = {}, str(error)
    started = None if plan else wait_for(experiments.start(context, design))
    if json:
        print_json({"workflow_id": started, "start": design.start, "detectable": effects, "unknown": why})
        return
    if effects:
        _draw_detectable(effects, design.experiment.days_before)
    elif why:
        errors.print(f"[yellow]which effects it can find is not known:[/] {cell(why)}", highlight=False)
    if started:
        warn_without_worker(context)
        days = design.experiment.days
        console.print(f"started [bold]{started}[/]: {days} days from {design.start:%Y-%m-%d} (UTC) on", highlight=False)


@app.command()
def status(name: Annotated[str | None, typer.Argument(help="Default: all.")] = None, json: Json = False) -> None:
    """Where an experiment is, and what it has come to so far: peeking is allowed."""
    context = load()
    if name is None:
        states = experiments.known(context)
        if json:
            print_json([_jsonable(state) for state in states])
        elif states:
            grid("experiments", ("name", "first day", "measured", "state", "reads"), [_row(state) for state in states])
        else:
            console.print("no experiment yet: `driftline experiment start`")
        return
    state = experiments.get(context, name)
    run = None if state.recorded.outcome else wait_for(experiments.run_status(context, name))
    if json:
        print_json({**_jsonable(state), "run": run})
        return
    grid("experiment", ("name", "first day", "measured", "state", "reads"), [_row(state)])
    if run and run.next_at:
        console.print(f"next measurement: {run.next_at:%Y-%m-%d %H:%M} UTC")
    if run and run.trouble:
        errors.print(f"[yellow]{cell(run.trouble)}[/]", highlight=False)
    _draw(state)


@app.command()
def report(
    name: Name,
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="Where the page is written.")] = Path("experiment.html"),
    json: Json = False,
) -> None:
    """What an experiment says: sentences, and a page with every metric by day."""
    state = experiments.write(load(), name, out)
    if json:
        print_json({**_jsonable(state), "page": str(out.absolute())})
        return
    _draw(state)
    console.print(f"[green]written:[/] {cell(str(out))}", highlight=False)


@app.command()
def stop(
    name: Name,
    ship: Annotated[
        str | None,
        typer.Option(metavar="CHANNEL", help="Also have a reviewer decide whether what CHANNEL serves is published for all."),
    ] = None,
    actor: Annotated[str | None, typer.Option("--as", help="Who does this. Default: your login.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "stopped by hand",
    json: Json = False,
) -> None:
    """End an experiment. With `--ship`, open the review that may publish its channel's table (exit code 3: it waits)."""
    context = load()
    if ship:
        experiments.check_shipped(context, name, ship)
    ended = wait_for(experiments.stop(context, name, actor or login(), reason))
    opened = wait_for(experiments.ship(context, name, ship)).id if ship else None
    if json:
        print_json({"stopped": ended, "ships": opened})
    else:
        console.print(f"experiment {cell(name)} " + ("is stopped" if ended else "had ended before"), highlight=False)
        if opened:
            warn_without_worker(context)
            console.print(f"[bold]{opened}[/] waits for a verdict: `driftline review list`")
    raise typer.Exit(WAITING if opened else DONE if ended else FAILED)


def _row(state: ExperimentState) -> tuple[Any, ...]:
    recorded, measured = state.recorded, state.measured
    users = sum(measured.result.users.values()) if measured else 0
    days = f"{measured.days} of {recorded.design.experiment.days} days, {users:,} users" if measured else "nothing yet"
    stands: str = recorded.outcome or "running"
    if recorded.outcome == "stopped":
        stands = f"stopped by {recorded.actor}: {recorded.reason}"
    return recorded.name, recorded.design.start, days, stands, _reads(state)


def _reads(state: ExperimentState) -> list[str]:
    if state.measured is None:
        return []
    if state.measured.result.mismatch:
        return ["wrong split: no result"]
    return [f"{metric.name}: {metric.reading}" for metric in state.measured.result.metrics]


def _draw(state: ExperimentState) -> None:
    from driftline.report.experiment_findings import findings

    if state.changed:
        errors.print(f"[red]users have changed arms: {cell(state.changed)}[/]", highlight=False)
    if state.measured is None:
        console.print("nothing was measured yet")
    else:
        draw_findings(findings(state.measured.result))


def _draw_detectable(effects: Any, days: int) -> None:
    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"± {100 * value:.2f} %"

    rows = [(name, one.users, shown(one.once), shown(one.always)) for name, one in effects.items()]
    columns = ("metric", "users", "by one look at the end", "by looking every day")
    grid(f"found in four of five experiments on as many users as the last {days} days had", columns, rows)


def _jsonable(state: ExperimentState) -> dict[str, Any]:
    from driftline.report.experiment_findings import findings

    said = findings(state.measured.result) if state.measured else ()
    return {**vars(state.recorded), "measured": state.measured, "findings": said, "changed": state.changed}
