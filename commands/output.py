"""What a person sees, and what a script reads: the same facts, drawn or as JSON."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from driftline.operations.text import UNSEEN, seen
from driftline.report.finding import Finding

DONE, FAILED, USAGE, WAITING = 0, 1, 2, 3
"""Exit codes of every command."""


class SafeConsole(Console):
    """Prints no control character but its own."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(seen(text), **options)


console = SafeConsole(width=None if sys.stdout.isatty() else 130)
errors = SafeConsole(stderr=True, soft_wrap=True)

MARKS = {"good": "[green]✓[/]", "neutral": "[cyan]·[/]", "bad": "[red]✗[/]"}
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


ROWS_AT_ONCE = 8_192
"""Lines of JSON that are put together in memory, each as long as if all its names were the longest."""


def jsonable(value: Any) -> Any:
    """Dataclasses, datetimes and tuples as plain JSON values; times are ISO 8601 in UTC."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def print_json(value: Any) -> None:
    written = json.dumps(jsonable(value), indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(_escaped(written) + "\n")


def rows_json(facts: dict[str, Any], columns: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """JSON of some facts (one at least) and of `rows`, part by part: each id as a column holds it, beside its name.

    NumPy puts the lines together, because a table of 761 interests has 578,360 of them: each interest is written once a column,
    and what fills the shorter ones up is left out at the end. An answer `a` is `a_next` and `a_name`, a member of the pair `c1`
    and `c1_name`.
    """
    import numpy as np

    literals = [_escaped(json.dumps(name, ensure_ascii=False)) for name in names]
    cells: dict[str, Any] = {}
    for name in columns:
        begin, end = ", " if cells else ",\n    {", "}" if len(cells) + 1 == len(columns) else ""
        key = name if name.startswith("c") else f"{name}_next"
        written = (f'{begin}"{key}": {number}, "{name}_name": {literal}{end}' for number, literal in enumerate(literals))
        cells[name] = np.array([cell.encode() for cell in written])
    yield json.dumps(jsonable(facts), indent=2, ensure_ascii=False)[:-2] + ',\n  "rows": ['
    count = len(next(iter(columns.values())))
    for first in range(0, count, ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        lines = np.empty(len(range(count)[part]), [(name, every.dtype) for name, every in cells.items()])
        for name, every in cells.items():
            lines[name] = every[columns[name][part]]
        text = lines.tobytes().translate(None, b"\0").decode()
        yield text if first else text[1:]
    yield "\n  ]\n}" if count else "]\n}"


def _escaped(written: str) -> str:
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def both_names(review_id: str | None) -> dict[str, str | None]:
    """A review's id for scripts: also as `gate_id`, its name when the stop was called a gate."""
    return {"review_id": review_id, "gate_id": review_id}


def grid(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; `None` is drawn as a dash, numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", show_header=any(columns))
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    console.print(table)


def cell(value: Any) -> str:
    """A value as text, safe for Rich: what an LLM or a catalogue writes may look like markup."""
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}" if (value.hour or value.minute) else f"{value:%Y-%m-%d}"
    if isinstance(value, list | tuple):
        return escape(one_line(", ".join(map(str, value))))
    if isinstance(value, float):
        return f"{value:.4f}"
    return escape(one_line(str(value)))


def one_line(text: str) -> str:
    """Joins a text's lines, so that none of others' looks like a line of ours."""
    return seen(" ⏎ ".join(text.splitlines()))


def percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f} %"


def draw_findings(findings: Iterable[Finding]) -> None:
    """A sentence a line, each with a mark for what it speaks for."""
    for finding in findings:
        console.print(f"{MARKS[finding.level]} {cell(finding.text)}", highlight=False)
