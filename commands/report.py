"""`driftline report`: what the measurements say about a table, in the terminal, as JSON, and as one page to read and pass on."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from driftline.commands import evaluate
from driftline.commands.context import Set, load, wait_for
from driftline.commands.output import FAILED, Json, cell, console, draw_findings, errors, print_json
from driftline.operations import measurements, reports, tables
from driftline.operations.context import Context, Unreachable
from driftline.operations.runs import RunFailed

Table = Annotated[int | None, typer.Argument(metavar="TABLE", help="Table version. Default: the newest.")]
Out = Annotated[Path, typer.Option("--out", dir_okay=False, help="Where the page is written.")]
Full = Annotated[bool, typer.Option("--full", help="Also measure what is missing that asks the LLM; see `driftline evaluate`.")]
Stored = Annotated[bool, typer.Option("--stored", help="Measure nothing: show what is in Postgres.")]


def report(
    table: Table = None,
    out: Out = Path("report.html"),
    full: Full = False,
    stored: Stored = False,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Does the hybrid update pay on this log? Measures what is missing without the LLM, and writes one self-contained page."""
    context = load(settings)
    version = tables.get(context, table).version
    failed = [] if stored else measure(context, version, tuple(measurements.WORKFLOWS) if full else ("drift",), quiet=json)
    made, shown = reports.write(context, version, out)
    if json:
        print_json({"report": made.version, "page": str(out.absolute()), "failed": failed, **vars(shown)})
    else:
        draw_findings(shown.findings)
        console.print(f"[green]written:[/] {cell(str(out))}, report {made.version} of table {version}", highlight=False)
    if failed:
        raise typer.Exit(FAILED)


def measure(context: Context, table: int, wanted: Collection[str], quiet: bool = False) -> list[str]:
    """Run those of the wanted measurements that this table still lacks. Returns why those that failed did."""
    known = reports.known(context, table)
    try:
        asked = reports.request(context, known)
    except (ValueError, OSError) as error:  # the log is away: what is stored can still be shown
        errors.print(f"[yellow]nothing was measured:[/] {cell(str(error))}", highlight=False)
        return [str(error)]
    failed = []
    for what in reports.lacking(context, known, asked, wanted):
        if not quiet:
            console.print(f"measuring {what}", style="bold", highlight=False)
        try:
            wait_for(evaluate.run(context, what, asked, quiet))
        except (RunFailed, Unreachable) as error:
            failed.append(str(error))
            if not quiet:
                errors.print(f"[yellow]{what} was not measured:[/] {cell(str(error))}", highlight=False)
    return failed
