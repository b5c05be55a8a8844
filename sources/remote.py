"""A log that another engine reads: the views of `log.py` in its SQL, so that it takes the queries that DuckDB would take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlglot import exp

from driftline.contracts import BadInput, Source, Window
from driftline.sources.dialects import Dialect, Tree, is_predicate, read, write
from driftline.sources.identity import BLANKS, NONE
from driftline.sources.log import EVENTS, log_query, look_for_missing
from driftline.sources.session import RunQuery, literal

Run = Callable[[str], pa.Table]
"""Runs a query. Raises BadInput with the engine's words where no retry would help."""

RAW = "driftline_raw"
KINDS = (
    (pa.types.is_date, "DATE"),
    (pa.types.is_time, "TIME"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_string, "VARCHAR"),
    (pa.types.is_large_string, "VARCHAR"),
)


@dataclass(frozen=True)
class RemoteRelation:
    """The log as its owner wrote it. Column settings are DuckDB expressions, as ever, and are translated."""

    run: Run
    dialect: Dialect
    given: Mapping[str, str]
    """Queries in the engine's SQL by the name of the table that they stand for. Tables that are not here exist there."""
    columns: Mapping[str, str]
    where: str
    sql: str = f"{RAW} AS raw"
    strptime: bool = False

    def kind(self, sql: str) -> str:
        if is_predicate(sql):
            return "BOOLEAN"
        found = self._first(sql, f"{sql} IS NOT NULL").schema[0].type
        if pa.types.is_timestamp(found):
            return "TIMESTAMP WITH TIME ZONE" if found.tz else "TIMESTAMP"
        return next((name for test, name in KINDS if test(found)), str(found).upper())

    def example(self, sql: str, condition: str) -> str | None:
        found = self._first(sql, condition)
        return str(found[0][0].as_py()) if found.num_rows else None

    def trimmed(self, sql: str) -> str:
        return f"driftline_trim({sql})" if self.dialect.trim else f"TRIM({sql}, {literal(BLANKS)})"

    def has_nul(self, sql: str) -> str:
        return f"driftline_nul({sql})"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.query({}, query, {}).to_pylist()]

    def query(self, views: Mapping[str, str], query: str, parameters: Mapping[str, object]) -> pa.Table:
        """Runs a query in DuckDB's SQL over some `views`, which are queries in DuckDB's SQL by name."""
        tree = _query(query)
        names = tree.named_selects
        used = self._add_views(tree, views)
        sql = write(tree, self.dialect, parameters)
        given = [f"{name} AS (\n{own}\n)" for name, own in self.given.items() if name in used]
        if given:
            # As they were written: a log may be a query that sqlglot cannot read.
            sql = f"WITH {', '.join(given)}" + (f", {sql.removeprefix('WITH ')}" if tree.ctes else f"\n{sql}")
        return self.run(f"{sql}\n{self.dialect.query}".rstrip()).rename_columns(names)

    def _first(self, sql: str, condition: str) -> pa.Table:
        return self.query({}, f"SELECT {sql} AS x FROM {self.sql} WHERE {condition} LIMIT 1", {})

    def _add_views(self, tree: exp.Query, views: Mapping[str, str]) -> set[str]:
        """Puts those views that the query needs in front of its own common table expressions. Returns all tables it reads."""
        self._name_columns(tree)
        needed: list[Tree] = []
        used = _tables(tree)
        for name in reversed(list(views)):
            if name in used:
                body = _query(views[name])
                self._name_columns(body)
                used |= _tables(body)
                needed.insert(0, exp.CTE(this=body, alias=exp.TableAlias(this=exp.to_identifier(name))))
        if needed:
            tree.set("with_", exp.With(expressions=[*needed, *tree.ctes]))
        return used

    def _name_columns(self, tree: Tree) -> None:
        """Columns of the log by their own names, in whatever case they were written."""
        own = {name.lower(): name for name in self.columns}
        for select in tree.find_all(exp.Select):
            source = select.args.get("from_")
            if source and source.this.name == RAW:
                for column in list(select.find_all(exp.Column)):
                    name = own.get(column.name.lower())
                    if name and column.table in ("", "raw"):
                        column.replace(exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier("raw")))


def query_remotely(rows: RemoteRelation, source: Source, window: Window | None = None) -> RunQuery:
    """Prepares queries of a log that another engine reads. Raises BadInput where a setting of `source` does not fit it."""
    query = log_query(rows, source, window)
    if (missing := look_for_missing(rows, query, window)) != NONE:
        query = log_query(rows, source, window, missing)
    views = {"driftline_log": query.sql, "driftline_events": EVENTS}

    def run_query(query: str, parameters: Mapping[str, object]) -> pa.Table:
        try:
            return rows.query(views, query, parameters)
        except BadInput as error:
            raise BadInput(f"source: {error}") from error

    return run_query


def _query(sql: str) -> exp.Query:
    tree = read(sql)
    assert isinstance(tree, exp.Query)
    return tree


def _tables(tree: Tree) -> set[str]:
    return {table.name for table in tree.find_all(exp.Table)}
