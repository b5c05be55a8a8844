"""What a setting such as `source.events` means in DuckDB's FROM clause: files by glob or URI, or a query."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import fsspec

from contracts import QUERY, BadInput
from sources.session import BAD_INPUT, explained, literal, words

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

    def kind(self, sql: str) -> str:
        try:
            ((_, kind, *_),) = self.con.execute(f"DESCRIBE SELECT {sql} AS x FROM {self.sql}").fetchall()
        except BAD_INPUT as error:
            raise BadInput(words(error)) from error
        return str(kind)

    def example(self, sql: str, condition: str) -> str | None:
        try:
            found = self.con.execute(f"SELECT {sql} FROM {self.sql} WHERE {condition} LIMIT 1").fetchone()
        except BAD_INPUT as error:
            raise BadInput(words(error)) from error
        return None if found is None else str(found[0])


def find(con: duckdb.DuckDBPyConnection, knob: str, where: str, ids: Sequence[str] = ()) -> Relation:
    """What the setting `knob` says, `where`, for DuckDB.

    `ids`: columns that are text in a CSV even if they look like numbers.

    Raises:
        BadInput: The setting is empty, no file matches, the format is unknown, or DuckDB does not accept it.
    """
    if not where.strip():
        raise BadInput(f"{knob} is not set: give Parquet or CSV files (a path, a glob or a URI), or a DuckDB query (SELECT …)")
    is_query = QUERY.match(where) is not None
    shown = "the query" if is_query else where
    with explained(knob if is_query else f"{knob} = {where!r}"):
        body = f"(\n{where.rstrip().rstrip(';')}\n)" if is_query else _files(con, knob, where, ids)
        return Relation(con, f"{body} AS raw", shown, _columns(con, body))


def _columns(con: duckdb.DuckDBPyConnection, body: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in con.execute(f"DESCRIBE FROM {body}").fetchall()}


def _files(con: duckdb.DuckDBPyConnection, knob: str, pattern: str, ids: Sequence[str]) -> str:
    scheme = SCHEME.match(pattern)
    name = scheme.group(1).lower() if scheme else "file"
    if name != "file":
        _register(con, knob, name)
    files = [pattern]
    if name not in WITHOUT_GLOB:
        files = [file for (file,) in con.execute("SELECT file FROM glob(?)", [pattern]).fetchall()]
    if not files:
        place = pattern if scheme else os.path.abspath(pattern)
        hint = f"; it is a folder: write {os.path.join(pattern, '*.parquet')!r}" if os.path.isdir(pattern) else ""
        raise BadInput(f"{knob}: no file matches {place!r}{hint}")
    return _parquet(pattern) if file_format(knob, pattern, files) == "parquet" else _csv(con, pattern, ids)


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
        endings = {re.sub(r"\.(gz|zst)$", "", name.split("?")[0].lower()).rpartition(".")[2] for name in names}
        formats = {FORMATS.get(ending) for ending in endings}
        if len(formats) == 1 and (found := formats.pop()):
            return found
    raise BadInput(
        f"{knob}: cannot tell the format of {pattern!r} by its ending: name .parquet or .csv files, "
        f"or write a query such as FROM read_json({literal(pattern)})"
    )


def _parquet(pattern: str) -> str:
    return f"read_parquet({literal(pattern)}, union_by_name = true)"


def _csv(con: duckdb.DuckDBPyConnection, pattern: str, ids: Sequence[str]) -> str:
    """Types are settled once, over all rows: a sample takes an id for a number, or misses the one bad date."""
    wanted = {name.lower() for name in ids}
    sniffed = _columns(con, f"read_csv({literal(pattern)}, union_by_name = true, header = true, sample_size = -1)")
    types = {name: "VARCHAR" if name.lower() in wanted else kind for name, kind in sniffed.items()}
    listed = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    return f"read_csv({literal(pattern)}, union_by_name = true, header = true, types = {{{listed}}})"
