"""`driftline cadence`: which days an update starts by itself, and why."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, get_args

import typer

from driftline.commands.context import Set, load, wait_for, warn_without_worker
from driftline.commands.output import Json, cell, console, draw_findings, grid, print_json
from driftline.commands.review import who
from driftline.commands.tables import Actor
from driftline.contracts import Action
from driftline.operations import cadence
from driftline.report.dimensions import findings

app = typer.Typer(help="Which days an update starts by itself, and why (docs/cadence.md).", no_args_is_help=True)

Day = Annotated[datetime | None, typer.Option("--at", formats=["%Y-%m-%d"], help="Nominal day (UTC); default: the log's end.")]


@app.command()
def status(
    days: Annotated[int, typer.Option(min=1, help="How many of the newest days.")] = 14, settings: Set = None, json: Json = False
) -> None:
    """Every decided day with its reasons, newest first, what is left of the budget, and what people said about days to come."""
    record = cadence.status(load(settings), days)
    if json:
        print_json(record)
        return
    limit = "no limit" if record.left is None else f"{record.left:,.0f} of {record.budget:,.0f} {record.unit} seconds left"
    console.print(f"{record.channel}: cadence.policy = {record.policy}; {limit}")
    if record.days:
        grid("days", ("day", "action", "reasons"), [(day.day, day.action, " ".join(day.reasons)) for day in record.days])
    for one in record.overrides:
        console.print(f"{one.first} to {one.last}: {one.action}, said {cell(one.by)}: {cell(one.reason)}")


@app.command()
def decide(at: Day = None, settings: Set = None, json: Json = False) -> None:
    """Decide about a day now, and start the update if there is one to start. A day that was decided about stays as it is."""
    context = load(settings)
    warn_without_worker(context)
    made = wait_for(cadence.decide(context, at))
    if json:
        print_json(made)
    else:
        console.print(f"{made.day}: {made.action}")
        for reason in made.reasons:
            console.print(cell(reason))


@app.command()
def override(
    action: Annotated[str, typer.Argument(help=f"One of {', '.join(get_args(Action))}.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; default: tomorrow.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; default: the first.")] = None,
    actor: Actor = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Say what is done on coming days, whatever is measured: `none` holds updates back. The newest word about a day counts."""
    if action not in get_args(Action):
        raise typer.BadParameter(f"{action!r} is none of {', '.join(get_args(Action))}")
    context = load(settings)
    begin = (first or datetime.now(UTC) + timedelta(days=1)).date()
    by, known_by = who(context, actor)
    recorded = cadence.override(context, action, begin, last.date() if last else begin, by, reason, known_by)  # type: ignore[arg-type]
    if json:
        print_json(recorded)
    else:
        console.print(f"{recorded.first} to {recorded.last}: {recorded.action}")


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="Where the page is written.")] = Path("updates.html"),
    runs: Annotated[int, typer.Option(min=1, help="Newest tables of each kind.")] = 10,
    days: Annotated[int, typer.Option(min=1, help="Newest days of the cadence.")] = 90,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Cost, agility and knowledge of each kind of update over its last runs, and the cadence's days, as one page."""
    dimensions = cadence.dimensions(load(settings), runs, days)
    cadence.write(dimensions, out)
    if json:
        print_json({"page": str(out.absolute()), "findings": findings(dimensions), **vars(dimensions)})
    else:
        draw_findings(findings(dimensions))
        console.print(f"[green]written:[/] {cell(str(out))}", highlight=False)
