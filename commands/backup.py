"""`driftline backup` and `driftline restore`: the embedded home, while it runs."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from driftline.commands.context import load_settings
from driftline.commands.output import Json, cell, console, print_json
from driftline.embedded import backup as backups
from driftline.settings import Settings

ELSEWHERE = "{} names a server that is not this home's: back it up with its own tools (docs/backup.md)"


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    json: Json = False,
) -> None:
    """Copy what the home holds, while it runs: Postgres, runs and schedules of Temporal, artifacts. Nothing waits for it.

    Checkpoints, converted weights, logs and passwords are not copied. Who reads it reads your items and adapters.
    """
    settings = _embedded()
    with nullcontext() if json else console.status("copying"):
        made = backups.backup(settings.home, folder.absolute())
    if json:
        print_json({"folder": str(folder.absolute()), **made})
    else:
        console.print(f"{made['bytes'] / 2**20:,.0f} MiB in {cell(str(folder))}", highlight=False)
        if settings.artifacts:
            console.print(
                f"[yellow]artifacts are in {cell(settings.artifacts)}[/]: back that up, too, after this", highlight=False
            )


def restore(
    folder: Annotated[Path, typer.Argument(help="What `driftline backup` has made.")],
    json: Json = False,
) -> None:
    """Make this home of a backup. It has to be new; then `driftline up` goes on with every run, review and schedule.

    Stop the home that it is a copy of first: both would send messages, and both would start the next runs.
    """
    settings = _embedded()
    with nullcontext() if json else console.status("restoring"):
        made = backups.restore(folder.absolute(), settings.home.absolute())
    if json:
        print_json({"home": str(settings.home.absolute()), **made})
    else:
        console.print(f"restored as of {made['at']}: `driftline up` goes on", highlight=False)


def _embedded() -> Settings:
    settings = load_settings()
    for name in ("postgres_url", "temporal_address"):
        if getattr(settings, name):
            raise RuntimeError(ELSEWHERE.format(name))
    return settings
