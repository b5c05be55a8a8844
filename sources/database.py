"""Counting in the database that holds the log, through SQLAlchemy. The cluster set becomes a small table there.

The one reader that knows SQLAlchemy: the URL is that of the log, not that of Driftline's own Postgres.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, NotSupportedError, ProgrammingError
from sqlglot import exp

from driftline.contracts import QUERY, BadInput, Source, Window
from driftline.sources.dialects import DIALECTS, Dialect, read, write
from driftline.sources.remote import RAW, RemoteRelation, query_remotely
from driftline.sources.session import RunQuery, expanded, hidden

NAMES = {
    "postgresql": "postgres",
    "bigquery": "bigquery",
    "trino": "trino",
    "clickhouse": "clickhouse",
    "clickhousedb": "clickhouse",
    "snowflake": "snowflake",
}
"""sqlglot's by SQLAlchemy's."""
BAD_INPUT = (ProgrammingError, DataError, NotSupportedError)
"""What no retry heals."""
ROWS = 5000
"""Of one INSERT."""


@contextmanager
def open_database(url: str, source: Source, assignment: pa.Table, window: Window | None = None) -> Iterator[RunQuery]:
    """Opens a log that lies in a database. `url`: SQLAlchemy's, with `${NAME}` from the environment.

    Raises:
        BadInput: There is no such database or driver, or a setting of `source` does not fit what is there.
    """
    if not QUERY.match(source.events):
        raise BadInput("source.events must be a query in the database's own SQL where counting.engine is sql:…")
    engine, dialect, secrets = _engine(url)
    try:
        with engine.connect() as connection:
            if dialect.session:
                _execute(connection, dialect.session)
            table = _write_assignment(connection, dialect, assignment)
            connection.commit()
            if dialect.name == "postgres":
                # All queries see the same rows.
                connection.execution_options(isolation_level="REPEATABLE READ")
            raw = source.events.rstrip().rstrip(";")
            given = {RAW: raw, "driftline_assignment": f"SELECT DISTINCT item, cluster FROM {table}"}
            columns = _columns(connection, raw)
            rows = RemoteRelation(lambda sql: _table(connection, sql), dialect, given, columns, "the query")
            yield query_remotely(rows, source, window)
    except DBAPIError as error:
        # Another attempt may heal what is left of them.
        raise ConnectionError(f"counting.engine: {hidden(str(error.orig).strip(), secrets)}") from None
    finally:
        engine.dispose()


def assignment_table(dialect: Dialect, assignment: pa.Table) -> tuple[str, str, Iterator[str]]:
    """Name of the cluster set's table, which is that of its content; what creates it; and what fills it."""
    rows = sorted(zip(assignment["item"].cast(pa.string()).to_pylist(), assignment["cluster"].to_pylist(), strict=True))
    name = "driftline_assignment_" + hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
    created = write(read(f"CREATE TABLE IF NOT EXISTS {name} (item VARCHAR, cluster INTEGER)"), dialect)
    parts = (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))
    return name, f"{created} {dialect.table}".rstrip(), (exp.insert(exp.values(part), name).sql(dialect.name) for part in parts)


def _write_assignment(connection: sa.Connection, dialect: Dialect, assignment: pa.Table) -> str:
    """Unless all of it is there.

    Rows may be in it twice, from a worker that died half-way or one that wrote at the same time: readers take each once.
    """
    name, create, inserts = assignment_table(dialect, assignment)
    try:
        _execute(connection, create)
        if _execute(connection, f"SELECT COUNT(DISTINCT item) FROM {name}").scalar_one() < assignment.num_rows:
            for insert in inserts:
                _execute(connection, insert)
    except BadInput as error:
        raise BadInput(f"counting.engine: the table of the cluster set, {name}: {error}") from error
    return name


def _engine(url: str) -> tuple[sa.Engine, Dialect, dict[str, str]]:
    """And what no message may show."""
    written, secrets = expanded(url, "counting.engine")
    try:
        parsed = sa.make_url(written)
        name = NAMES.get(parsed.get_backend_name())
        if name is None:
            raise BadInput(f"counting.engine = 'sql:{url}': counting runs in {', '.join(sorted(set(NAMES.values())))} only")
        options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if name == "postgres" else {}
        if parsed.get_driver_name() == "psycopg":
            options["connect_args"] = {"prepare_threshold": None}  # a pooler may give each transaction another session
        return sa.create_engine(parsed, **options), DIALECTS[name], secrets | {"PASSWORD": str(parsed.password or "")}
    except (ArgumentError, NoSuchModuleError, ImportError):
        # Their words may show the URL, and it a password.
        raise BadInput(f"counting.engine = 'sql:{url}' is no URL of a database whose SQLAlchemy driver is installed") from None


def _columns(connection: sa.Connection, raw: str) -> dict[str, str]:
    """Names as the database has them: SQLAlchemy turns those of Snowflake into lower case."""
    try:
        found = _execute(connection, f"SELECT * FROM (\n{raw}\n) AS raw LIMIT 0")
    except BadInput as error:
        raise BadInput(f"source.events: {error}") from error
    names = [name for name, *_ in found.cursor.description]
    found.close()
    return dict.fromkeys(names, "")


def _table(connection: sa.Connection, sql: str) -> pa.Table:
    """Streamed, for counts may be millions of rows. Columns are named by their place."""
    found = _execute(connection, sql, stream_results=True)
    names = [str(place) for place in range(len(found.keys()))]
    parts = [pa.table([pa.array(column) for column in zip(*rows, strict=True)], names) for rows in found.partitions(1 << 16)]
    return pa.concat_tables([pa.table([pa.nulls(0)] * len(names), names), *parts], promote_options="permissive")


def _execute(connection: sa.Connection, sql: str, **options: Any) -> sa.CursorResult[Any]:
    try:
        return connection.exec_driver_sql(sql, execution_options={"no_parameters": True, **options})
    except BAD_INPUT as error:
        raise BadInput(str(error.orig).strip()) from error
