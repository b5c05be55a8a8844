"""`driftline doctor`: whether a run could start, before anything is started."""

import typer
from rich.markup import escape

from driftline.commands.context import Set, load, wait_for
from driftline.commands.output import FAILED, Json, cell, console, print_json
from driftline.commands.source import draw as draw_source
from driftline.operations import doctor as doctors

COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def doctor(settings: Set = None, json: Json = False) -> None:
    """Check the settings, the log and the catalogue, the addresses, the models and the disk. Nothing is started or written.

    Exit codes: 0 a run can start (there may be warnings), 1 it cannot, 2 the settings cannot be read.
    """
    check_up = wait_for(doctors.check_up(load(settings)))
    if json:
        print_json({"healthy": check_up.healthy, "checks": check_up.checks, "profile": check_up.profile})
    else:
        if check_up.profile:
            draw_source(check_up.profile, findings=False)
        for check in check_up.checks:
            console.print(
                f"[{COLOURS[check.level]}]{check.level:8}[/] {escape(check.about)}: {cell(check.message)}", highlight=False
            )
            if check.level != "ok" and check.mend and check.mend not in check.message:
                console.print(f"         [dim]→[/] {cell(check.mend)}", highlight=False)
    if not check_up.healthy:
        raise typer.Exit(FAILED)
