"""The reference SQL in the words of other engines. sqlglot translates; what it would get subtly wrong is written here.

Times are without a zone, in UTC, to the microsecond, and a tie's hash is md5 in lower-case hex, in every engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlglot import ErrorLevel, exp, parse_one
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types

from driftline.contracts import BadInput
from driftline.sources.identity import BLANKS

Tree = exp.Expr
TIME, ZONED = exp.DataType.Type.TIMESTAMPNTZ, exp.DataType.Type.TIMESTAMPTZ


@dataclass(frozen=True)
class Dialect:
    """Expressions of `x`, in the engine's own SQL."""

    name: str
    """sqlglot's."""
    time: str
    """The time without a zone of a text in ISO 8601, a date or a time that has no zone."""
    zoned: str
    """The time in UTC of one that has a zone."""
    text: str
    """The time in UTC of a text that may have a zone, or null where it cannot be read."""
    micros: str
    """Microseconds since 1970 of a time."""
    md5: str = "MD5(x)"
    finite: str = "TRUE"
    """Whether a time is one."""
    nul: str = "FALSE"
    """Whether a text has a byte 0x00 in it, where the engine's texts can have one."""
    trim: str = ""
    """A text without the blanks around it, where TRIM knows bytes only."""
    session: str = ""
    """A statement that makes UTC the zone of the session."""
    query: str = ""
    """What ends a query …"""
    table: str = ""
    """… and CREATE TABLE."""


DIALECTS = {
    one.name: one
    for one in (
        Dialect(
            "spark",
            time="CAST(x AS TIMESTAMP_NTZ)",
            zoned="CAST(x AS TIMESTAMP_NTZ)",
            text="CAST(TRY_CAST(x AS TIMESTAMP) AS TIMESTAMP_NTZ)",
            micros="UNIX_MICROS(CAST(x AS TIMESTAMP))",
            nul="LOCATE(CHAR(0), x) > 0",
        ),
        Dialect(
            "postgres",
            time="CAST(x AS TIMESTAMP)",
            zoned="CAST(x AS TIMESTAMP)",
            text="CAST(CASE WHEN PG_INPUT_IS_VALID(x, 'timestamptz') THEN CAST(x AS TIMESTAMPTZ) END AS TIMESTAMP)",
            micros="CAST(EXTRACT(EPOCH FROM x) * 1000000 AS BIGINT)",
            # Its texts are ordered by its collation, where md5 is one.
            md5='MD5(x) COLLATE "C"',
            finite="ISFINITE(x)",
            session="SET TIME ZONE 'UTC'",
        ),
        Dialect(
            "bigquery",
            time="CAST(x AS DATETIME)",
            zoned="DATETIME(x, 'UTC')",
            text="DATETIME(SAFE_CAST(x AS TIMESTAMP), 'UTC')",
            micros="DATETIME_DIFF(x, DATETIME '1970-01-01 00:00:00', MICROSECOND)",
            md5="TO_HEX(MD5(x))",
            nul="STRPOS(x, CODE_POINTS_TO_STRING([0])) > 0",
        ),
        Dialect(
            # Without a precision, its times are cut to milliseconds; its date_diff has no microseconds, and to_unixtime rounds.
            "trino",
            time="CAST(x AS TIMESTAMP(6))",
            zoned="CAST(x AT TIME ZONE 'UTC' AS TIMESTAMP(6))",
            text="CAST(TRY_CAST(x AS TIMESTAMP(6) WITH TIME ZONE) AT TIME ZONE 'UTC' AS TIMESTAMP(6))",
            micros="DATE_DIFF('second', TIMESTAMP '1970-01-01 00:00:00', DATE_TRUNC('second', x)) * 1000000"
            " + CAST(SUBSTR(CAST(x AS VARCHAR), -6) AS BIGINT)",
            md5="LOWER(TO_HEX(MD5(TO_UTF8(x))))",
            nul="STRPOS(x, CHR(0)) > 0",
            session="SET TIME ZONE 'UTC'",
        ),
        Dialect(
            # Its plain DateTime has whole seconds, and its joins fill gaps with zeros and empty texts unless told not to.
            "clickhouse",
            time="CAST(x AS Nullable(DateTime64(6, 'UTC')))",
            zoned="CAST(x AS Nullable(DateTime64(6, 'UTC')))",
            text="parseDateTime64BestEffortOrNull(x, 6, 'UTC')",
            micros="toUnixTimestamp64Micro(x)",
            md5="LOWER(HEX(MD5(x)))",
            nul="position(x, char(0)) > 0",
            trim=f"replaceRegexpAll(x, '^[{BLANKS}]+|[{BLANKS}]+$', '')",
            query="SETTINGS join_use_nulls = 1",
            table="ENGINE = MergeTree ORDER BY tuple()",
        ),
        Dialect(
            "snowflake",
            time="CAST(x AS TIMESTAMP_NTZ(6))",
            zoned="CAST(CONVERT_TIMEZONE('UTC', x) AS TIMESTAMP_NTZ(6))",
            text="CAST(CONVERT_TIMEZONE('UTC', TRY_TO_TIMESTAMP_TZ(x)) AS TIMESTAMP_NTZ(6))",
            micros="DATEDIFF(MICROSECOND, CAST('1970-01-01 00:00:00' AS TIMESTAMP_NTZ(6)), x)",
            session="ALTER SESSION SET TIMEZONE = 'UTC'",
        ),
    )
}


def read(sql: str) -> Tree:
    """Parses DuckDB's SQL. Raises BadInput."""
    try:
        return parse_one(sql, read="duckdb")
    except ParseError as error:
        # Its own text has marks for a terminal.
        raise BadInput(f"not SQL of DuckDB: {error.errors[0]['description'] if error.errors else error}") from error


def write(tree: Tree, dialect: Dialect, parameters: Mapping[str, object] | None = None) -> str:
    """SQL of the dialect. Changes the tree; `$name` becomes the literal of its value, a text or a time in UTC.

    Raises:
        BadInput: The dialect has no words for an expression.
    """
    for place in list(tree.find_all(exp.Placeholder)):
        place.replace(_literal((parameters or {})[place.name]))
    # Children before parents: what is replaced is not looked at again.
    for node in reversed(list(tree.find_all(exp.Cast, exp.MD5, exp.DateDiff, exp.Anonymous))):
        for template, x in _own_words(node, dialect):
            tree = _replaced(tree, node, template, x, dialect)
    try:
        return str(tree.sql(dialect.name, pretty=True, comments=False, unsupported_level=ErrorLevel.RAISE))
    except SqlglotError as error:
        raise BadInput(f"{dialect.name} has no words for it: {error}") from error


def is_predicate(sql: str) -> bool:
    """Whether an expression is true or false by its form. Some engines answer comparisons with numbers."""
    return bool(annotate_types(read(sql), dialect="duckdb").is_type(exp.DataType.Type.BOOLEAN))


def _own_words(node: Tree, dialect: Dialect) -> Iterator[tuple[str, Tree]]:
    if isinstance(node, exp.Cast) and node.to.this == TIME:
        inner = node.this
        if isinstance(inner, exp.Cast) and inner.to.this == ZONED:
            yield dialect.text if isinstance(inner, exp.TryCast) else dialect.zoned, inner.this
        else:
            yield dialect.time, inner
    elif isinstance(node, exp.MD5):
        yield dialect.md5, node.this
    elif isinstance(node, exp.DateDiff) and node.text("unit").upper() == "MICROSECOND":
        yield dialect.micros, node.this
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "isfinite":
        yield dialect.finite, node.expressions[0]
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "driftline_trim":
        yield dialect.trim, node.expressions[0]
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "driftline_nul":
        yield dialect.nul, node.expressions[0]


def _replaced(tree: Tree, node: Tree, template: str, x: Tree, dialect: Dialect) -> Tree:
    made = parse_one(template, read=dialect.name)
    for place in [column for column in made.find_all(exp.Column) if column.name == "x"]:
        place.replace(x.copy())
    if node is tree:
        return made
    node.replace(made)
    return tree


def _literal(value: object) -> Tree:
    if isinstance(value, datetime):
        return exp.cast(exp.Literal.string(f"{value:%Y-%m-%d %H:%M:%S.%f}"), TIME)
    return exp.Literal.string(str(value))
