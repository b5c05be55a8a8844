"""What a setting such as `source.events` means in DuckDB's FROM clause: files by glob or URI, or a query."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import fsspec

from driftline.contracts import QUERY, BadInput
from driftline.sources.delimited import find_csv
from driftline.sources.identity import BLANKS
from driftline.sources.parquet import find_parquet
from driftline.sources.reading import Reading
from driftline.sources.session import BAD_INPUT, explained, literal, words

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)
READ_BY_DUCKDB = {"http", "https", "s3", "s3a", "s3n", "gs", "gcs", "r2", "hf", "az", "azure", "abfss"}
WITHOUT_GLOB = {"http", "https"}
FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "csv", "txt": "csv"}


@dataclass(frozen=True)
class Relation:
    """One log or catalogue as its owner wrote it.

    SQL that is put into every FROM clause, not a view: DuckDB 2.0 loses the window on its way through a view that casts.
    """

    con: duckdb.DuckDBPyConnection
    sql: str
    """What follows FROM; its rows are called `raw`."""
    where: str
    """The files or the query, for messages."""
    columns: dict[str, str]
    """DuckDB type by column name, in order."""
    reading: Reading
    strptime: bool = True

    def kind(self, sql: str) -> str:
        try:
            ((_, kind, *_),) = self.con.execute(f"DESCRIBE SELECT {sql} AS x FROM {self.sql}").fetchall()
        except BAD_INPUT as error:
            raise BadInput(words(error)) from error
        return str(kind)

    def example(self, sql: str, condition: str) -> str | None:
        try:
            found = self.con.execute(f"SELECT CAST({sql} AS VARCHAR) FROM {self.sql} WHERE {condition} LIMIT 1").fetchone()
        except BAD_INPUT as error:
            raise BadInput(words(error)) from error
        return None if found is None else str(found[0])

    def trimmed(self, sql: str) -> str:
        """Where there is no blank, which is cheap to see, the text as it is."""
        ends = " OR ".join(f"{sql} LIKE '%{blank}'" for blank in BLANKS)
        blank = f"{sql} < '!' OR starts_with({sql}, {literal(BLANKS[-1])}) OR {ends}"
        return f"CASE WHEN {blank} THEN TRIM({sql}, {literal(BLANKS)}) ELSE {sql} END"

    def has_nul(self, sql: str) -> str:
        return f"contains({sql}, chr(0))"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        try:
            return self.con.execute(query).fetchall()
        except BAD_INPUT as error:
            raise BadInput(words(error)) from error


def find(con: duckdb.DuckDBPyConnection, knob: str, where: str, ids: Sequence[str] = (), used: Sequence[str] = ()) -> Relation:
    """What the setting `knob` says, `where`, for DuckDB.

    Args:
        ids: columns that are text in a CSV, and in the folders' names, even if they look like numbers.
        used: column settings; a CSV's other columns are left as they are written.

    Raises:
        BadInput: The setting is empty, no file matches, the format is unknown, or DuckDB does not accept it.
    """
    if not where.strip():
        raise BadInput(f"{knob} is not set: give Parquet or CSV files (a path, a glob or a URI), or a DuckDB query (SELECT …)")
    if QUERY.match(where):
        with explained(knob):
            body = f"(\n{where.rstrip().rstrip(';')}\n)"
            columns = _columns(con, body)
            return Relation(con, f"{body} AS raw", "the query", columns, Reading(where, "query", columns=columns))
    with explained(f"{knob} = {where!r}"):
        files = _files(con, knob, where)
        if file_format(knob, where, files) == "csv":
            body, reading = find_csv(con, knob, where, files, ids, used)
        else:
            body, reading = find_parquet(con, knob, where, files, ids)
        return Relation(con, f"{body} AS raw", where, _columns(con, body), reading)


def _columns(con: duckdb.DuckDBPyConnection, body: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in con.execute(f"DESCRIBE FROM {body}").fetchall()}


def _files(con: duckdb.DuckDBPyConnection, knob: str, pattern: str) -> list[str]:
    scheme = SCHEME.match(pattern)
    name = scheme.group(1).lower() if scheme else "file"
    if name != "file":
        _register(con, knob, name)
    if name in WITHOUT_GLOB:
        return [pattern]
    files = [file for (file,) in con.execute("SELECT file FROM glob(?) ORDER BY file", [pattern]).fetchall()]
    if not files:
        place = pattern if scheme else os.path.abspath(pattern)
        hint = f"; it is a folder: write {os.path.join(pattern, '*.parquet')!r}" if os.path.isdir(pattern) else ""
        raise BadInput(f"{knob}: no file matches {place!r}{hint}")
    return files


def _register(con: duckdb.DuckDBPyConnection, knob: str, scheme: str) -> None:
    if con.filesystem_is_registered(scheme):
        return
    try:
        con.register_filesystem(fsspec.filesystem(scheme))
    except (ValueError, ImportError) as error:
        if scheme in READ_BY_DUCKDB:  # with an extension that it fetches itself
            return
        raise BadInput(f"{knob}: cannot read {scheme}:// addresses: {error}") from error


def file_format(knob: str, pattern: str, files: Sequence[str] = ()) -> str:
    """`parquet` or `csv`, by the ending of the pattern or else of all files."""
    for names in ([pattern], files):
        formats = {FORMATS.get(_ending(name)) for name in names}
        if len(formats) == 1 and (found := formats.pop()):
            return found
    if {"parquet", "csv"} & formats:
        one = sorted(name for name in files if FORMATS.get(_ending(name)))[0]
        other = sorted(name for name in files if FORMATS.get(_ending(name)) != FORMATS.get(_ending(one)))[0]
        folder = pattern.rpartition("/")[0]
        wanted = f"{folder}/*.{_ending(one)}" if folder else f"*.{_ending(one)}"
        raise BadInput(f"{knob}: {pattern!r} names files of two kinds, e.g. {one} and {other}: write {wanted!r}")
    raise BadInput(
        f"{knob}: cannot tell the format of {pattern!r} by its ending: name .parquet or .csv files, "
        f"or write a query such as FROM read_json({literal(pattern)})"
    )


def _ending(name: str) -> str:
    return re.sub(r"\.(gz|zst)$", "", name.split("?")[0].lower()).rpartition(".")[2]
