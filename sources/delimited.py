"""CSV files: delimiter, quoting and types of all files of a glob, settled over all their rows.

DuckDB's own detection looks at the first 20,480 rows of each file by itself. So it takes a late quote for a part of the value,
and one file's dates for day-first and another's for month-first. Here every option is given to it, and every type has been tried
on every row.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from driftline.contracts import BadInput
from driftline.sources.partitions import names_in, options, partitions
from driftline.sources.reading import Reading
from driftline.sources.session import literal, quoted, words

DELIMITERS = ",\t;|"
ENCODINGS = ("utf-8", "utf-16")
LINES = 100
"""At the head of a file, from which its header is found."""

MISSING = "('', 'null', 'nan', 'none', 'na', 'n/a', '\\n')"
"""What stands for no value in a column of numbers, in lower case."""
# Patterns of `str.format`, as the tests are.
ISO = "[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}"
CLOCK = "[0-9]{{1,2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]+)?)?"
ZONE = ".*:[0-9]{{2}}([.][0-9]+)? ?(Z|UTC|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
TESTS = {
    "n": "count({c})",
    "missing": f"count_if(lower(trim({{c}})) IN {MISSING})",
    "whole": "count_if(regexp_full_match({c}, '0|-?[1-9][0-9]*') AND TRY_CAST({c} AS BIGINT) IS NOT NULL)",
    "digits": "count_if(regexp_full_match({c}, '[+-]?[0-9]+'))",
    "zeros": "count_if({c} LIKE '0%' AND regexp_full_match({c}, '0[0-9]+.*'))",
    "number": f"count_if(TRY_CAST({{c}} AS DOUBLE) IS NOT NULL AND lower(trim({{c}})) NOT IN {MISSING})",
    "boolean": "count_if(lower({c}) IN ('true', 'false'))",
    "date": "count_if(regexp_full_match({c}, " + literal(ISO) + ") AND TRY_CAST({c} AS DATE) IS NOT NULL)",
    "time": "count_if({c} LIKE '%:%' AND {c} NOT LIKE '%-%' AND {c} NOT LIKE '%/%' AND TRY_CAST({c} AS TIME) IS NOT NULL)",
    # A cast without a zone ignores what is behind the seconds, so that only one with a zone can tell.
    "instant": "count_if(TRY_CAST({c} AS TIMESTAMPTZ) >= TIMESTAMPTZ '1000-01-01 00:00:00+00')",
    "unzoned": "count_if(regexp_full_match({c}, " + literal(f"{ISO}([ T]{CLOCK})?") + "))",
    "zoned": "count_if(regexp_full_match({c}, " + literal(ZONE) + "))",
}


@dataclass(frozen=True)
class Head:
    """What the first lines of a file say."""

    encoding: str
    delimiter: str
    quote: str
    skip: int
    """Lines before the header."""
    names: tuple[str, ...]


def find_csv(
    con: duckdb.DuckDBPyConnection, knob: str, pattern: str, files: Sequence[str], ids: Sequence[str], used: Iterable[str]
) -> tuple[str, Reading]:
    """SQL of all rows of the files, and how they are read.

    Args:
        ids: columns that are text even if they look like numbers.
        used: column settings; types are settled of the columns that they name.

    Raises:
        BadInput: the files do not agree, or a row does not fit; names the file, the line and what to write.
    """
    text, settings = names_in(ids), " ".join(used).lower()
    heads = {file: head for file in files if (head := _head(con, file, settings))}
    if not heads:
        raise BadInput(f"{knob}: every file of {pattern!r} is empty")
    first = _agreed(knob, heads)
    names = list({name.lower(): name for head in heads.values() for name in head.names}.values())
    parts = partitions(list(heads), names, text)
    wanted = [name for name in names if name.lower() not in text and name.lower() in settings]
    others = [name for name in names if name.lower() in text]
    bodies = {escape: _body(heads, escape, parts) for escape in (first.quote, "\\")}
    escape, types = _settle(con, knob, bodies, wanted, others)
    body = bodies[escape]
    casts = ", ".join(f"{_cast(quoted(name), kind)} AS {quoted(name)}" for name, kind in types.items() if kind != "VARCHAR")
    sql = f"(SELECT * REPLACE ({casts}) FROM {body})" if casts else body
    kinds = {name: types.get(name, "VARCHAR") for name in names if name in types or name.lower() in text} | parts
    reading = Reading(pattern, "csv", len(files), first.delimiter, first.quote, escape, first.encoding, kinds, parts)
    return sql, reading


def _head(con: duckdb.DuckDBPyConnection, file: str, settings: str) -> Head | None:
    """The header is the line that names most of the columns that the settings name. None: the file is empty."""
    lines, encoding = _lines(con, file)
    if not any(lines):
        return None
    candidates = [head for delimiter in DELIMITERS for head in _headers(lines, encoding, delimiter, settings)]
    fallback = (0, 0.0, 0, Head(encoding, ",", '"', 0, _distinct(lines[0].split(","))))
    return max([*candidates, fallback], key=lambda found: found[:3])[3]


def _headers(lines: Sequence[str], encoding: str, delimiter: str, settings: str) -> Iterator[tuple[int, float, int, Head]]:
    """Each with how many of its names are settings, how well the rows below it fit, and how wide it is."""
    single = re.compile(rf"(^|{re.escape(delimiter)})'[^']*'({re.escape(delimiter)}|$)")
    quote = "'" if sum(bool(single.search(line)) for line in lines) > len(lines) / 2 else '"'
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, quotechar=quote)
    rows: list[tuple[int, list[str]]] = []
    with suppress(csv.Error):
        while True:
            begin = reader.line_num
            try:
                rows.append((begin, next(reader)))
            except StopIteration:
                break
    for place, (begin, row) in enumerate(rows[: LINES // 2]):
        if len(row) > 1:
            names = _distinct(row)
            known = sum(bool(re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", settings)) for name in names)
            below = [each for _, each in rows[place + 1 :] if each]
            fit = sum(len(each) == len(row) for each in below) / len(below) if below else 1.0
            yield known, fit - place / 1000, len(row), Head(encoding, delimiter, quote, begin, names)


def _lines(con: duckdb.DuckDBPyConnection, file: str) -> tuple[list[str], str]:
    """By way of DuckDB, which knows all addresses and compressions."""
    for encoding in ENCODINGS:
        query = (
            f"FROM read_csv({literal(file)}, delim = {literal(chr(1))}, quote = '', escape = '', header = false, "
            f"auto_detect = false, columns = {{'line': 'VARCHAR'}}, strict_mode = false, ignore_errors = true, "
            f"hive_partitioning = false, encoding = {literal(encoding)}) LIMIT {LINES}"
        )
        with suppress(duckdb.InvalidInputException):
            lines = [line or "" for (line,) in con.execute(query).fetchall()]
            if not any("\0" in line for line in lines):
                return [line.removeprefix("\ufeff") for line in lines], encoding
    return [], ENCODINGS[0]


def _distinct(row: Sequence[str]) -> tuple[str, ...]:
    """Names without the blanks around them; one that is empty or there already gets a number."""
    names: list[str] = []
    for place, name in enumerate(name.strip().strip("\"'") for name in row):
        taken = {other.lower() for other in names}
        name = name or f"column{place}"
        names.append(name if name.lower() not in taken else f"{name}_{place}")
    return tuple(names)


def _agreed(knob: str, heads: Mapping[str, Head]) -> Head:
    """What all files have in common, else a BadInput that names two."""
    (file, first), *others = heads.items()
    for other, head in others:
        for noun in ("delimiter", "quote", "encoding"):
            ours, theirs = getattr(first, noun), getattr(head, noun)
            # A file with a header of one name has no delimiter.
            if ours != theirs and len(head.names) > 1:
                raise BadInput(
                    f"{knob}: the files do not agree: {file} has {noun} {ours!r} and {other} {theirs!r}; write them alike, or a "
                    f"query: FROM read_csv({literal(file)}, all_varchar = true) UNION ALL BY NAME "
                    f"FROM read_csv({literal(other)}, all_varchar = true)"
                )
    return first


def _settle(
    con: duckdb.DuckDBPyConnection, knob: str, bodies: Mapping[str, str], wanted: Sequence[str], others: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """Reads all rows once: what escapes a quote, that with which all rows can be read; and types that fit every row."""
    tests = [test.format(c=quoted(name)) for name in wanted for test in TESTS.values()]
    failed: duckdb.Error | None = None
    for escape, body in bodies.items():
        try:
            query = f"SELECT {', '.join([*tests, *(f'max(strlen({quoted(name)}))' for name in others), 'count(*)'])} FROM {body}"
            (row,) = con.execute(query).fetchall()
        except duckdb.InvalidInputException as error:
            failed = failed or error
            continue
        size = len(TESTS)
        counts = [n or 0 for n in row]  # what is counted in no row is null
        found = (dict(zip(TESTS, counts[place * size : (place + 1) * size], strict=True)) for place in range(len(wanted)))
        return escape, dict(zip(wanted, map(_kind, found), strict=True))
    raise BadInput(f"{knob}: {_complaint(str(failed))}") from failed


def _body(heads: Mapping[str, Head], escape: str, parts: dict[str, str]) -> str:
    """SQL of all rows, every column as it is written."""
    alike: dict[Head, list[str]] = {}
    for file, head in heads.items():
        alike.setdefault(head, []).append(file)
    one, *more = (_read(head, files, escape, parts) for head, files in alike.items())
    return "(" + " UNION ALL BY NAME ".join(f"FROM {each}" for each in (one, *more)) + ")" if more else one


def _read(head: Head, files: Sequence[str], escape: str, parts: dict[str, str]) -> str:
    listed = ", ".join(map(literal, files))
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in head.names)
    return (
        f"read_csv([{listed}], delim = {literal(head.delimiter)}, quote = {literal(head.quote)}, escape = {literal(escape)}, "
        f"encoding = {literal(head.encoding)}, header = true, skip = {head.skip}, auto_detect = false, columns = {{{columns}}}, "
        f"{options(parts)})"
    )


def _complaint(message: str) -> str:
    """DuckDB's, with the line and what to do about it, but without options that no setting has."""
    file = match.group(1).strip() if (match := re.search(r"^ *file = (.*)$", message, re.M)) else "a file"
    line = match.group(1) if (match := re.search(r"CSV Error on Line: (\d+)", message)) else ""
    original = match.group(1).strip() if (match := re.search(r"^Original Line: (.*)$", message, re.M)) else ""
    where = f"{file}, line {line}" + (f" ({original[:120]})" if original else "") if line else file
    query = f"FROM read_csv({literal(file)}, all_varchar = true"
    if match := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        expected, found = match.groups()
        why = f"the row has {found} fields, the header {expected}: mend the row, or leave such rows out with a query: "
        return f"{where}: {why}{query}, ignore_errors = true)"
    if "not utf-8 encoded" in message or "nicode" in message:
        return f"{where}: it is not UTF-8: write it in UTF-8, or a query that names its encoding: {query}, encoding = 'latin-1')"
    if "nterminated quote" in message:
        return (
            f"{where}: a quote is opened and not closed: double the quotes inside a value, or write a query: {query}, quote = '')"
        )
    if "invalid state" in message:
        return (
            f"{where}: some lines end in CR LF and some in LF, or a quoted value goes on behind its quote: write all lines "
            f"alike, or a query: {query}, strict_mode = false)"
        )
    return f"{where}: " + words(Exception(message)).split("\n\n")[0].replace("\n", " ")


def _kind(found: Mapping[str, int]) -> str:
    """`zeros`: 007 is no number, and neither is one of twenty digits."""
    n, values = found["n"], found["n"] - found["missing"]
    if not values:
        return "VARCHAR"
    if found["whole"] == values:
        return "BIGINT"
    if found["number"] == values and not found["zeros"] and found["digits"] == found["whole"]:
        return "DOUBLE"
    if found["boolean"] == values:
        return "BOOLEAN"
    if found["date"] == n:
        return "DATE"
    if found["time"] == n:
        return "TIME"
    if found["instant"] == n == found["zoned"]:
        return "TIMESTAMPTZ"
    if found["instant"] == n == found["unzoned"]:
        return "TIMESTAMP"
    return "VARCHAR"


def _cast(column: str, kind: str) -> str:
    # Of the bare column DuckDB would make the reader convert it, which fails where a cast is only tried.
    return f"TRY_CAST(trim({column}) AS {kind})"
