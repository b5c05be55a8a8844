"""`driftline report`: what the measurements say about a table, in the terminal, as JSON, and as one page to read and pass on."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

import db.tables
from activities.reports import content, write
from commands import evaluate
from commands.context import Set, Unreachable, engine, load_settings, wait_for
from commands.output import FAILED, Json, cell, console, errors, print_json
from contracts import EvaluateInput
from interests.windows import consecutive
from report.content import Content, Finding
from settings import Settings

Table = Annotated[int | None, typer.Argument(metavar="TABLE", help="Table version. Default: the newest.")]
Out = Annotated[Path, typer.Option("--out", dir_okay=False, help="Where the page is written.")]
Full = Annotated[bool, typer.Option("--full", help="Also measure what is missing that asks the LLM; see `driftline evaluate`.")]
Stored = Annotated[bool, typer.Option("--stored", help="Measure nothing: show what is in Postgres.")]

MARKS = {"good": "[green]✓[/]", "neutral": "[cyan]·[/]", "bad": "[red]✗[/]"}


def report(
    table: Table = None,
    out: Out = Path("report.html"),
    full: Full = False,
    stored: Stored = False,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Does the hybrid update pay on this log? Measures what is missing without the LLM, and writes one self-contained page."""
    loaded = load_settings(settings)
    with engine(loaded).connect() as connection:
        version = db.tables.newest(connection) if table is None else db.tables.get(connection, table).version
    failed = [] if stored else measure(loaded, version, tuple(evaluate.WORKFLOWS) if full else ("drift",), quiet=json)
    made, shown = make(loaded, version, out)
    if json:
        print_json({"report": made, "page": str(out.absolute()), "failed": failed, **vars(shown)})
    else:
        draw(shown.findings)
        console.print(f"[green]written:[/] {cell(str(out))}, report {made} of table {version}", highlight=False)
    if failed:
        raise typer.Exit(FAILED)


def measure(settings: Settings, table: int, wanted: Collection[str], quiet: bool = False) -> list[str]:
    """Run those of the wanted evaluations that this table still lacks. Returns why those that failed did."""
    with engine(settings).connect() as connection:
        known = content(connection, table, settings.gates)
    try:
        asked = evaluate.request(settings, None, None, cluster_set=known.cluster_set, model=known.model)
    except (ValueError, OSError) as error:  # the log is away: what is stored can still be shown
        errors.print(f"[yellow]nothing was measured:[/] {cell(str(error))}", highlight=False)
        return [str(error)]
    failed = []
    for what in _lacking(known, asked, wanted):
        if not quiet:
            console.print(f"measuring {what}", style="bold", highlight=False)
        try:
            wait_for(evaluate.run(settings, what, asked, quiet))
        except (ValueError, Unreachable) as error:
            failed.append(str(error))
            if not quiet:
                errors.print(f"[yellow]{what} was not measured:[/] {cell(str(error))}", highlight=False)
    return failed


def make(settings: Settings, table: int, out: Path) -> tuple[int, Content]:
    """Store the newest report of a table and write its page. Returns the report's version and what is on the page."""
    from report.page import render  # matplotlib takes a second to load, which no other command should wait for

    with engine(settings).begin() as connection:
        shown = content(connection, table, settings.gates)
        made = write(connection, shown)
    out.write_text(render(shown), encoding="utf-8")
    return made.version, shown


def draw(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        console.print(f"{MARKS[finding.level]} {cell(finding.text)}", highlight=False)


def _lacking(known: Content, asked: EvaluateInput, wanted: Collection[str]) -> list[str]:
    """Not measured at all or, of drift, not up to the newest whole window."""
    windows = consecutive(asked.log_start, asked.period.end, asked.measures)
    measured = known.drift.windows[-1].end if known.drift and known.drift.windows else None
    fresh = windows and measured and measured >= windows[-1].end
    found = {"drift": fresh, "refresh": known.refresh, "answers": known.answers, "retrieval": known.retrieval}
    return [what for what in wanted if not found[what]]
