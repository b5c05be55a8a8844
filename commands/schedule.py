"""`driftline schedule`: when the two updates, and the watch over them, start by themselves."""

from datetime import datetime
from typing import Annotated

import typer

from driftline.commands.context import Set, load, wait_for
from driftline.commands.output import Json, console, grid, print_json
from driftline.operations import schedules

app = typer.Typer(help="The monthly fine-tune, the RAG refresh every two days, and the watch over both.", no_args_is_help=True)

Name = Annotated[
    str | None, typer.Argument(help="`fine-tune`, `rag-refresh`, `cadence` or `watch`; default: what starts updates.")
]


@app.command()
def apply(settings: Set = None, json: Json = False) -> None:
    """Create the schedules, or bring them up to the settings. Doing it twice changes nothing."""
    done = wait_for(schedules.apply(load(settings)))
    if json:
        print_json(done)
    else:
        for name, what in done.items():
            console.print(f"{name}: {what}")


@app.command("list")
def list_(json: Json = False) -> None:
    """The schedules with their next starts."""
    found = wait_for(schedules.list_schedules(load()))
    if json:
        print_json(found)
    else:
        columns = ("id", "paused", "note", "next_starts", "running", "last_started", "skipped", "missed")
        rows = [(s.id, s.paused, s.note, s.next_starts[:2], s.running, s.last_started, s.skipped, s.missed) for s in found]
        grid("schedules", columns, rows)


@app.command()
def pause(name: Name = None, note: Annotated[str, typer.Option(help="Why.")] = "paused by hand") -> None:
    """Start no more runs until `resume`; a run under way goes on."""
    names = _named(name)
    _say(wait_for(schedules.pause(load(), names, note)), "paused")


@app.command()
def resume(name: Name = None) -> None:
    """Start runs again. What was missed while paused is not made up for: see `backfill`."""
    names = _named(name)
    _say(wait_for(schedules.resume(load(), names)), "resumed")


@app.command()
def backfill(
    name: Annotated[str, typer.Argument(help="`fine-tune`, `rag-refresh` or `cadence`.")],
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First nominal date (UTC).")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last nominal date (UTC).")],
) -> None:
    """Make the runs whose nominal times lie in a past span, one after another: the versions a live run would have made."""
    if end < start:
        raise typer.BadParameter(f"--to {end:%Y-%m-%d} is before --from {start:%Y-%m-%d}")
    if name not in (*schedules.UPDATES, "cadence"):
        raise typer.BadParameter(f"{name!r} makes no versions: use `fine-tune`, `rag-refresh` or `cadence`")
    _say(wait_for(schedules.backfill(load(), name, start, end)), "backfilling")


def _named(name: str | None) -> list[str]:
    if name is not None and name not in schedules.IDS:
        known = "`fine-tune`, `rag-refresh`, `recommender`, `cadence` or `watch`"
        raise typer.BadParameter(f"{name!r} is not a schedule: use {known}")
    adaptive = load().settings.cadence.policy == "adaptive"
    return [name] if name else ["cadence"] if adaptive else list(schedules.UPDATES)


def _say(done: list[str], what: str) -> None:
    for schedule in done:
        console.print(f"{schedule}: {what}")
