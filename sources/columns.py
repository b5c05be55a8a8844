"""Column settings: the name of a column or a DuckDB expression, checked against the columns that there are."""

import difflib
import re
from dataclasses import dataclass

import duckdb

from sources.relations import Relation
from sources.session import BAD_INPUT, quoted, words

NAME = re.compile(r"\w+")
CONSTANTS = {"true", "false"}


@dataclass(frozen=True)
class Column:
    """SQL over the relation, and its DuckDB type."""

    knob: str
    written: str
    sql: str
    kind: str


def resolve(con: duckdb.DuckDBPyConnection, relation: Relation, knob: str, written: str) -> Column:
    """A name in any case is that column, however odd; anything else must be an expression that DuckDB accepts.

    Raises:
        ValueError: No such column, or a bad expression; names the setting, the columns and the closest one.
    """
    for name, kind in relation.columns.items():
        if name.lower() == written.lower():
            # Qualified, because DuckDB takes a bare `user` for a function.
            return Column(knob, written, f"raw.{quoted(name)}", kind)
    if NAME.fullmatch(written) and written.lower() not in CONSTANTS:
        raise _missing(relation, knob, written, "there is no such column")
    if not written.strip():
        raise _missing(relation, knob, written, "it is empty")
    sql = f"(\n{written}\n)"
    try:
        ((_, kind, *_),) = con.execute(f"DESCRIBE SELECT {sql} AS x FROM {relation.sql}").fetchall()
    except BAD_INPUT as error:
        raise _missing(relation, knob, written, words(error)) from error
    return Column(knob, written, sql, kind)


def identifier(con: duckdb.DuckDBPyConnection, relation: Relation, knob: str, written: str) -> str:
    """SQL of an id as text. Floats are refused: `12346.0` in one file and `12346` in another would never meet."""
    column = resolve(con, relation, knob, written)
    if column.kind in ("DOUBLE", "FLOAT"):
        raise ValueError(
            f"{knob} = {written!r} is {column.kind} in {relation.where}; an id is text or a whole number: "
            f"write an expression such as TRY_CAST({written} AS BIGINT)"
        )
    return f"CAST({column.sql} AS VARCHAR)"


def predicate(con: duckdb.DuckDBPyConnection, relation: Relation, knob: str, written: str) -> str:
    """SQL that is never null: what is unknown is not positive."""
    column = resolve(con, relation, knob, written)
    if column.kind != "BOOLEAN":
        raise ValueError(
            f"{knob} = {written!r} is {column.kind} in {relation.where}; it must be true or false: "
            f"write a comparison such as {written} > 0"
        )
    return f"COALESCE({column.sql}, false)"


def _missing(relation: Relation, knob: str, written: str, why: str) -> ValueError:
    by_lower = {name.lower(): name for name in relation.columns}
    close = difflib.get_close_matches(written.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"; did you mean {by_lower[close[0]]!r}?" if close else ""
    columns = ", ".join(relation.columns)
    return ValueError(f"{knob} = {written!r}: {why} in {relation.where}{hint} (columns: {columns})")
