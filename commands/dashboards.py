"""`driftline dashboards`: Grafana's boards, alert rules and data sources."""

from pathlib import Path
from typing import Annotated

import typer

from driftline.commands.context import load, load_settings
from driftline.commands.output import Json, console, grid, print_json
from driftline.operations import dashboards
from driftline.operations.dashboards import BoardChange

app = typer.Typer(help="Boards, alert rules and data sources of a Grafana.", no_args_is_help=True)

DIFFERENT = 1
SHOWN = 3


@app.command()
def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    password: Annotated[bool, typer.Option("--password", help="Send the data source's password again: it has changed.")] = False,
    json: Json = False,
) -> None:
    """Bring Grafana's folder, data sources, boards and alert rules to what they should be. Doing it twice changes nothing."""
    context = load()
    _show(dashboards.diff(context) if dry_run else dashboards.apply(context, password), json)


@app.command()
def diff(json: Json = False) -> None:
    """List what in Grafana differs from what it should be. Exit code 1 if anything does."""
    changes = dashboards.diff(load())
    _show(changes, json)
    if any(change.action != "unchanged" for change in changes):
        raise typer.Exit(DIFFERENT)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write the files; made if it is missing.")], json: Json = False
) -> None:
    """Write everything as files of Grafana's provisioning (`/etc/grafana/provisioning`). Needs no Grafana."""
    written = dashboards.export(load_settings(), folder)
    if json:
        print_json([str(file) for file in written])
        return
    for file in written:
        console.print(str(file), highlight=False, soft_wrap=True)


def _show(changes: list[BoardChange], json: bool) -> None:
    if json:
        print_json(changes)
        return
    rows = [(c.kind, c.title, c.uid, c.action, [*c.differs[:SHOWN], *["…"][: len(c.differs) > SHOWN]]) for c in changes]
    grid("Grafana", ("part", "title", "uid", "action", "differs"), rows)
