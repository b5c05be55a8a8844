"""CSV files: delimiter, quoting and types of all files of a glob, settled over all their rows.

DuckDB's own detection looks at the first 20,480 rows of each file by itself. So it takes a late quote for a part of the value,
and one file's dates for day-first and another's for month-first. Here every option is given to it, and every type has been tried
on every row.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import duckdb

from driftline.contracts import BadInput
from driftline.sources.agreement import check_columns, check_partitions
from driftline.sources.complaints import complaint, row_query
from driftline.sources.header import Head, head_of, is_named
from driftline.sources.partitions import names_in, options, partitions
from driftline.sources.reading import Reading
from driftline.sources.session import literal, quoted

VALUE = re.compile(r"[-+]?[0-9][0-9:/. T+-]*Z?")
"""A number or a time: no name of a column."""
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
    used = list(used)
    text, settings = names_in(ids), " ".join([*ids, *used]).lower()
    heads = {file: head for file in files if (head := head_of(con, knob, file, settings))}
    if not heads:
        raise BadInput(f"{knob}: every file of {pattern!r} is empty")
    _check_headers(knob, pattern, heads, settings)
    first = _agreed(knob, heads)
    names = list({name.lower(): name for head in heads.values() for name in head.names}.values())
    check_columns(knob, {file: head.names for file, head in heads.items() if head.rows}, [*ids, *used])
    check_partitions(knob, list(heads), names, [*ids, *used])
    parts = partitions(list(heads), names, text)
    wanted = [name for name in names if name.lower() not in text and name.lower() in settings]
    others = [name for name in names if name.lower() in text]
    bodies = {escape: _body(heads, escape, parts) for escape in (first.quote, "\\")}
    escape, types = _settle(con, knob, pattern, heads, bodies, wanted, others)
    body = bodies[escape]
    casts = ", ".join(f"{_cast(quoted(name), kind)} AS {quoted(name)}" for name, kind in types.items() if kind != "VARCHAR")
    sql = f"(SELECT * REPLACE ({casts}) FROM {body})" if casts else body
    kinds = {name: types.get(name, "VARCHAR") for name in names if name in types or name.lower() in text} | parts
    reading = Reading(pattern, "csv", len(files), first.delimiter, first.quote, escape, first.encoding, kinds, parts)
    return sql, reading


def _check_headers(knob: str, pattern: str, heads: Mapping[str, Head], settings: str) -> None:
    """Checks that no file lacks a header that others have, and no name is of two columns. Raises BadInput that names the file."""
    known = {file: [name for name in head.names if is_named(name, settings)] for file, head in heads.items()}
    other = next((names for names in known.values() if names), [])
    for file, head in heads.items():
        line = head.delimiter.join(head.names)[:120]
        if not known[file] and (other or any(VALUE.fullmatch(name) for name in head.names) or len(head.names) == 1):
            if len(head.names) == 1 and any(word in head.names[0].lower() for word in names_in(settings.split())):
                raise BadInput(
                    f"{knob}: {file} is one column, {line!r}, by each delimiter that is tried: write a query that names it: "
                    f"FROM read_csv({literal(pattern)}, delim = '…', header = true, all_varchar = true)"
                )
            raise BadInput(
                f"{knob}: the first line of {file}, {line!r}, names no column of the settings"
                + (f", and other files have {', '.join(other)}" if other else "")
                + ": add the header, change the settings to its names, or write a query for files without one: "
                + row_query(pattern, head, header=False)
            )
        for name in head.repeated:
            if is_named(name, settings):
                raise BadInput(
                    f"{knob}: {file} has several columns {name!r}, and which is meant cannot be told: rename them, or use a "
                    f"query, in which DuckDB calls them {name}, {name}_1 and so on: {row_query(pattern, head)}"
                )


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
                    f"query: {row_query(file, first)} UNION ALL BY NAME {row_query(other, head)}"
                )
    return first


def _settle(
    con: duckdb.DuckDBPyConnection,
    knob: str,
    pattern: str,
    heads: Mapping[str, Head],
    bodies: Mapping[str, str],
    wanted: Sequence[str],
    others: Sequence[str],
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
    raise BadInput(f"{knob}: {complaint(str(failed), pattern, heads)}") from failed


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


def _kind(found: Mapping[str, int]) -> str:
    """Picks the type that fits all of a column's values. `zeros`: 007 is no number, and neither is one of twenty digits."""
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
