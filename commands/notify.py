"""`driftline notify`: whom Driftline tells what happened."""

from typing import Annotated

import typer

from driftline.commands.context import load, wait_for, warn_without_worker
from driftline.commands.output import DONE, FAILED, Json, errors, grid, print_json
from driftline.operations import notifications

app = typer.Typer(help="Messages to people: reviews, publications, failures, what is overdue.", no_args_is_help=True)


@app.command("test")
def try_targets(json: Json = False) -> None:
    """Send a message to every target of the settings, from the worker, and say what each answered. Exit code 1 if one failed."""
    context = load()
    warn_without_worker(context)
    made = wait_for(notifications.test(context))
    if json:
        print_json(made)
    elif made:
        grid("targets", ("target", "state", "answer"), [(d.target, d.state, d.said) for d in made])
    if not made:
        errors.print("[yellow]the worker knows no target[/]: add `\\[notify.targets.NAME]` to its settings and restart it")
    raise typer.Exit(DONE if made and all(d.state == "sent" for d in made) else FAILED)


@app.command("list")
def list_(limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20, json: Json = False) -> None:
    """What was told, newest first, and what became of it at each target."""
    found = notifications.newest(load(), limit)
    if json:
        print_json(found)
        return
    columns = ("told", "event", "title", "target", "state", "answer", "attempts")
    grid("notifications", columns, [(t.created_at, t.event, t.title, t.target, t.state, t.said, t.attempts) for t in found])
