"""The header of a CSV file: its encoding, delimiter and names, from its first lines."""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from driftline.contracts import BadInput
from driftline.sources.encodings import first_line, iconv, not_utf8
from driftline.sources.session import literal

DELIMITERS = ",\t;|^~\x01"
"""The last is Hive's."""
ENCODINGS = ("utf-8", "utf-16")
LINES = 100
"""At the head of a file, from which its header is found."""


@dataclass(frozen=True)
class Head:
    """What the first lines of a file say."""

    encoding: str
    delimiter: str
    quote: str
    skip: int
    """Lines before the header."""
    names: tuple[str, ...]
    repeated: tuple[str, ...] = ()
    """Names that several columns have, in lower case."""
    rows: bool = False
    """Whether something follows the header."""


def head_of(con: duckdb.DuckDBPyConnection, knob: str, file: str, settings: str) -> Head | None:
    """The header is the line that names most of the columns that the settings name. None: the file is empty.

    Raises:
        BadInput: the file's first lines cannot be read as text.
    """
    lines, encoding = _lines(con, knob, file)
    if not any(line.strip() for line in lines):
        return None
    candidates = [head for delimiter in DELIMITERS for head in _headers(lines, encoding, delimiter, settings)]
    first = next(line for line in lines if line.strip())
    fallback = (
        0,
        0.0,
        0,
        Head(encoding, ",", '"', lines.index(first), *_distinct(first.split(",")), any(lines[lines.index(first) + 1 :])),
    )
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
            names, repeated = _distinct(row)
            known = sum(is_named(name, settings) for name in names)
            below = [each for _, each in rows[place + 1 :] if each]
            fit = sum(len(each) == len(row) for each in below) / len(below) if below else 1.0
            yield known, fit - place / 1000, len(row), Head(encoding, delimiter, quote, begin, names, repeated, bool(below))


def is_named(name: str, settings: str) -> bool:
    """Whether the column settings, in lower case, name the column."""
    return bool(re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", settings))


def _lines(con: duckdb.DuckDBPyConnection, knob: str, file: str) -> tuple[list[str], str]:
    """Reads a file's first lines by way of DuckDB, which knows all addresses and compressions."""
    read: dict[str, list[str]] = {}
    for encoding in ENCODINGS:
        query = (
            f"FROM read_csv({literal(file)}, delim = {literal(chr(2) * 4)}, quote = '', escape = '', header = false, "
            f"auto_detect = false, columns = {{'line': 'VARCHAR'}}, strict_mode = false, ignore_errors = true, "
            f"hive_partitioning = false, encoding = {literal(encoding)}) LIMIT {LINES}"
        )
        with suppress(duckdb.InvalidInputException):
            read[encoding] = [line or "" for (line,) in con.execute(query).fetchall()]
    bytewise, wide = read.get("utf-8", []), "\n".join(read.get("utf-16", []))
    first = bytewise[0] if bytewise else ""
    if bytewise and first.count("\0") * 4 < max(len(first), 1):
        return [line.lstrip("\ufeff") for line in bytewise], "utf-8"
    if "\0" not in wide and set(DELIMITERS) & set(wide):
        return wide.lstrip("\ufeff").split("\n"), "utf-16"
    if first or wide.startswith("\ufffe"):
        what = "UTF-32" if "\0" in wide else "UTF-16BE"
        raise BadInput(f"{knob}: {file} is {what}, which is not read: write it in UTF-8: {iconv(what, file)}")
    if line := first_line(file):
        raise BadInput(f"{knob}: {not_utf8(file, line)}")
    return [], "utf-8"


def _distinct(row: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names without the blanks around them, and those that are there twice; one that is empty or there already gets a number."""
    names: list[str] = []
    repeated: list[str] = []
    for place, name in enumerate(name.strip().strip("\"'") for name in row):
        taken = {other.lower() for other in names}
        name = name or f"column{place}"
        if name.lower() in taken:
            repeated.append(name.lower())
        names.append(name if name.lower() not in taken else f"{name}_{place}")
    return tuple(names), tuple(repeated)
