"""What DuckDB says of a CSV, in one line that names the file, the row and what to write, without options that no setting has."""

import re
from collections.abc import Mapping

from driftline.sources.encodings import may_be_latin, not_utf8
from driftline.sources.header import Head
from driftline.sources.session import literal, words

SHOWN = 120
"""Characters of a row that are shown."""


def row_query(pattern: str, head: Head, header: bool = True, **options: str) -> str:
    """A query that reads the files in the dialect that was settled: DuckDB's own guess is of a file's first rows."""
    given = {
        "delim": literal(head.delimiter),
        "quote": literal(head.quote),
        **({"encoding": literal(head.encoding)} if head.encoding != "utf-8" else {}),
        **({"skip": str(head.skip)} if head.skip else {}),
        **({"header": "true"} if header else {"header": "false", "names": "['user', 'item', 'ts', …]"}),
        "all_varchar": "true",
        "union_by_name": "true",
        **options,
    }
    return f"FROM read_csv({literal(pattern)}, {', '.join(f'{name} = {value}' for name, value in given.items())})"


def complaint(message: str, pattern: str, heads: Mapping[str, Head]) -> str:
    """Rewrites DuckDB's message about a CSV. `heads`: the files' by name."""
    file = match.group(1).strip() if (match := re.search(r"^ *file = (.*)$", message, re.M)) else ""
    line = int(match.group(1)) if (match := re.search(r"CSV Error on Line: (\d+)", message)) else 0
    original = match.group(1).strip() if (match := re.search(r"^Original Line: (.*)$", message, re.M)) else ""
    head = heads.get(file) or next(iter(heads.values()))
    file = file or pattern
    shown = "".join(c if c.isprintable() else "␀" for c in original[:SHOWN])
    where = f"{file}, line {line}" + (f" ({shown})" if shown else "") if line else file
    if match := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        expected, found = map(int, match.groups())
        why = f"the row has {found} fields, the header {expected}"
        if found < expected:
            filled = row_query(pattern, head, null_padding="true")
            return f"{where}: {why}: mend the row, or fill such rows up with a query: {filled}"
        return (
            f"{where}: {why}: quote the value that holds {_named(head.delimiter)}, or leave such rows out with a query: "
            + row_query(pattern, head, ignore_errors="true")
        )
    if "not utf-8 encoded" in message or "nicode" in message:
        said = not_utf8(file, line)
        return (
            f"{said}, or, if it is CP1252, a query: {row_query(pattern, head, encoding=literal('latin-1'))}"
            if may_be_latin(file, line)
            else said
        )
    if "nterminated quote" in message:
        return (
            f"{where}: a quote is opened and not closed: double the quotes inside a value, or take them as they are by a query: "
            + row_query(pattern, head, quote="''")
        )
    if "invalid state" in message:
        return (
            f"{where}: some lines end in CR LF and some in LF, or a quoted value goes on behind its quote: write all lines "
            f"alike, or a query: {row_query(pattern, head, strict_mode='false')}"
        )
    return f"{where}: " + words(Exception(message))


def _named(delimiter: str) -> str:
    return {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a bar"}.get(delimiter, repr(delimiter))
