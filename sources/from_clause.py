"""What a setting such as `source.events` means in DuckDB's FROM clause: files by glob or URI, or a query."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from driftline.contracts import QUERY, BadInput
from driftline.sources.delimited import find_csv
from driftline.sources.files import file_format, files_of
from driftline.sources.identity import BLANKS
from driftline.sources.json_lines import find_json
from driftline.sources.parquet import find_parquet
from driftline.sources.reading import Reading
from driftline.sources.session import BAD_INPUT, explained, literal, mended


@dataclass(frozen=True)
class LocalRelation:
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
            raise BadInput(mended(error)) from error
        return str(kind)

    def example(self, sql: str, condition: str) -> str | None:
        try:
            found = self.con.execute(f"SELECT CAST({sql} AS VARCHAR) FROM {self.sql} WHERE {condition} LIMIT 1").fetchone()
        except BAD_INPUT as error:
            raise BadInput(mended(error)) from error
        return None if found is None else str(found[0])

    def trimmed(self, sql: str) -> str:
        """Writes SQL that trims a text. Where there is no blank, which is cheap to see, the text stays as it is."""
        ends = " OR ".join(f"{sql} LIKE '%{blank}'" for blank in BLANKS if blank < "~")
        blank = f"{sql} < '!' OR {ends} OR strlen({sql}) <> length({sql})"
        return f"CASE WHEN {blank} THEN TRIM({sql}, {literal(BLANKS)}) ELSE {sql} END"

    def has_nul(self, sql: str) -> str:
        return f"contains({sql}, chr(0))"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        try:
            return self.con.execute(query).fetchall()
        except BAD_INPUT as error:
            raise BadInput(mended(error)) from error


def find(
    con: duckdb.DuckDBPyConnection, knob: str, where: str, ids: Sequence[str] = (), used: Sequence[str] = ()
) -> LocalRelation:
    """The relation in DuckDB that the setting `knob` names by `where`: files, a URI or a query.

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
            return LocalRelation(con, f"{body} AS raw", "the query", columns, Reading(where, "query", columns=columns))
    with explained(f"{knob} = {where!r}"):
        files, hidden = files_of(con, knob, where)
        kind = file_format(knob, where, files)
        if kind == "csv":
            body, reading = find_csv(con, knob, where, files, ids, used)
        elif kind == "json":
            body, reading = find_json(con, knob, where, files, ids, used)
        else:
            body, reading = find_parquet(con, knob, where, files, ids, used, hidden)
        return LocalRelation(con, f"{body} AS raw", where, _columns(con, body), replace(reading, hidden=hidden))


def _columns(con: duckdb.DuckDBPyConnection, body: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in con.execute(f"DESCRIBE FROM {body}").fetchall()}
