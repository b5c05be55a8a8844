"""A DuckDB connection in UTC that may spill to disk, and DuckDB's complaints as errors that say which setting to change."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import duckdb
import pyarrow as pa

from driftline.contracts import BadInput

BAD_INPUT = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)
"""What no retry heals. Files and networks that fail (`OperationalError`) are left as they are."""

RunQuery = Callable[[str, Mapping[str, object]], pa.Table]
"""Runs a query in DuckDB's SQL, with its parameters, over `driftline_log`, `driftline_events` and `driftline_assignment`."""

VARIABLE = re.compile(r"\$\{(\w+)\}")


class SetupError(duckdb.IOException, OSError):
    """An address in `source.setup` that does not answer, or an extension that cannot be fetched: another attempt may heal it."""


@contextmanager
def connect(setup: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database in which `setup` has run, with `${NAME}` read from the environment.

    Raises:
        BadInput: A variable is missing, or DuckDB does not accept `setup`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="driftline-duckdb-") as spill,
        duckdb.connect(config={"temp_directory": spill}) as con,
    ):
        _run(con, setup)
        # A timestamp without a zone is UTC, and one with a zone is cast to UTC, whatever machine this is.
        con.execute("SET TimeZone = 'UTC'")
        yield con


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns DuckDB's complaints about the input into `BadInput("{what}: {DuckDB's words}")`.

    A file that cannot be read is an OSError: another attempt may heal it, but not one that is no GZIP as its name says.
    """
    try:
        yield
    except duckdb.IOException as error:
        if mend_of(error):
            raise BadInput(f"{what}: {mended(error)}") from error
        raise OSError(f"{what}: {words(error)}") from error
    except BAD_INPUT as error:
        raise BadInput(f"{what}: {mended(error)}") from error


def arrow(con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
    return con.sql(query, params=parameters).to_arrow_table()


MENDS = (
    ("Unexpected end of GZIP", "the file is cut off: copy it again"),
    ("GZIP", "give the file the ending that it has"),
    ("No files found that match", "check the path in the query"),
    ("too small to be a Parquet file", "it is empty or was not written to its end: write it again, or take it out of the glob"),
    ("No magic bytes found", "it is cut off, or no Parquet: copy it again, or give it the ending that it has"),
    ("Failed to read file", "the file is damaged: copy or write it again"),
    ("decompression failure", "the file is damaged: copy or write it again"),
    ("Invalid string encoding found in Parquet", "its bytes are no text: write a query with hex() or decode() of that column"),
    ("failed to cast column", "write a query that reads the files one by one: FROM read_parquet('…') UNION ALL BY NAME FROM …"),
    ("Malformed JSON", "mend or remove the line, or leave such lines out: FROM read_json('…', ignore_errors = true)"),
    ("Could not parse string", "write try_strptime instead of strptime, and such rows are counted"),
    ("Epoch seconds out of range", "the unit of the numbers is another: try epoch_ms, or make_timestamp for microseconds"),
    ("Timestamp(MS) to Timestamp(US)", "the unit of the numbers is another: try make_timestamp for microseconds"),
    (
        "imestamp microseconds out of range",
        "the unit of the numbers is another: leave epoch_ms and make_timestamp, or divide them",
    ),
    ("Conversion Error", "write TRY_CAST instead of CAST, and such rows are counted"),
)
"""What to do about DuckDB's complaints, by a part of them; the first that fits."""


def words(error: Exception) -> str:
    """DuckDB's message in a line, without the excerpt of a statement that the user never wrote or options that no setting has."""
    said = re.split(r"\n\nLINE |\n\nIn file |\n\tCandidate functions|\nTry increasing|\nThis can happen when", str(error))[0]
    return " ".join(said.split()).rstrip(".!")


def mended(error: Exception) -> str:
    """DuckDB's message, and what to do about it where that is known."""
    mend = mend_of(error)
    return words(error) + (f": {mend}" if mend else "")


def mend_of(error: Exception) -> str:
    """What to do about one of DuckDB's complaints; empty where that is not known."""
    return next((mend for part, mend in MENDS if part in str(error)), "")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@cache
def _reserved() -> frozenset[str]:
    """Words that DuckDB takes for its own where an expression begins."""
    query = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
    with duckdb.connect() as con:
        return frozenset(name for (name,) in con.execute(query).fetchall())


def spoken(name: str) -> str:
    """A column's name as an expression of DuckDB has to write it."""
    return name if re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in _reserved() else quoted(name)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def expanded(text: str, knob: str, escape: Callable[[str], str] = str) -> tuple[str, dict[str, str]]:
    """The text with `${NAME}` from the environment, and the values by name.

    Raises:
        BadInput: A variable is not set.
    """
    values: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise BadInput(f"{knob} needs the environment variable {name}, which is not set")
        values[name] = escape(os.environ[name])
        return values[name]

    return VARIABLE.sub(value, text), values


def hidden(message: str, values: Mapping[str, str]) -> str:
    """Messages end up in workflow histories: no password may be in them."""
    for name, value in values.items():
        for shown in {value, value.replace("''", "'")} - {""}:
            message = message.replace(shown, f"${{{name}}}")
    return message


def _run(con: duckdb.DuckDBPyConnection, setup: str) -> None:
    # A value stands inside a '…' string of SQL.
    statements, secrets = expanded(setup, "source.setup", lambda value: value.replace("'", "''"))
    if not statements.strip():
        return
    try:
        con.execute(statements)
    except duckdb.Error as error:
        message = f"source.setup: {hidden(words(error), secrets)}"
        raise (BadInput(message) if isinstance(error, BAD_INPUT) else SetupError(message)) from None
