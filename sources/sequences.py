"""Sequences of one window (design §3.1): the log and a cluster set opened together, and the SQL that both define.

`sequences.sql` is the definition of a sequence; `triples.sql` and `halves.sql` read from it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import BadInput, Sequences, Source, Window
from driftline.sources.log import EVENTS, open_source, utc
from driftline.sources.session import arrow, explained

REFERENCE = "reference"
"""The counting engine that all others are held against: the SQL on DuckDB."""

STEPS = pa.schema([("user", pa.string()), ("cluster", pa.int32()), ("ts", pa.timestamp("us"))])


@contextmanager
def open_assigned(
    source: Source, assignment: pa.Table, window: Window | None = None, plain: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The log as `driftline_events`, and `assignment` (item: str, cluster: int32; one row per item) as `driftline_assignment`.

    Raises:
        BadInput: `source` or `assignment` is not as it should be.
    """
    check_assignment(assignment)
    with open_source(source, items=False, window=window, plain=plain) as con:
        con.register("driftline_given", assignment)
        con.execute("""
            CREATE TEMP TABLE driftline_assignment AS
            SELECT CAST(item AS VARCHAR) AS item, CAST(cluster AS INTEGER) AS cluster FROM driftline_given""")
        con.unregister("driftline_given")
        yield con


def check_assignment(assignment: pa.Table) -> None:
    """Checks that every item has one cluster. Raises BadInput where one has two."""
    times = assignment.group_by("item").aggregate([([], "count_all")])
    twice = times.filter(pc.greater(times["count_all"], 1))["item"].to_pylist()
    if twice:
        raise BadInput(f"the cluster set assigns item {min(twice)!r} more than once")


def over_sequences(query: str) -> str:
    """A query over `sequences`: the name of an SQL file of this folder without its suffix, or SQL itself."""
    text = query if " " in query else sql_file(query)
    return f"WITH sequences AS (\n{sql_file('sequences')})\n{text}"


def parameters(sequences: Sequences, window: Window) -> dict[str, object]:
    """What `sequences.sql` takes."""
    return {"start": utc(window.start), "end": utc(window.end), "dedup": sequences.dedup}


def read_sequences(
    source: Source, sequences: Sequences, window: Window, assignment: pa.Table, users: pa.Array | None = None
) -> pa.Table:
    """Every step of every sequence in `[window.start, window.end)`; with `users`, of these only.

    Returns:
        user: string; cluster: int32; ts: timestamp[us] in UTC. Ordered by user and place in the sequence. Empty where the window
        has no event that counts.

    Raises:
        BadInput: `source` or `assignment` is not as it should be.
    """
    query = 'SELECT s."user", s.cluster, s.ts FROM sequences AS s ORDER BY s."user", s.ts, s.tie'
    with open_assigned(source, assignment, window) as con, explained("source"):
        if users is not None:
            con.register("driftline_asked", pa.table({"user": users}))
            con.execute(f"""CREATE OR REPLACE TEMP VIEW driftline_events AS
                {EVENTS} AND l."user" IN (SELECT CAST(a."user" AS VARCHAR) FROM driftline_asked AS a)""")
        return arrow(con, over_sequences(query), parameters(sequences, window)).cast(STEPS)


def sql_file(name: str) -> str:
    """An SQL file of this folder."""
    return resources.files("driftline.sources").joinpath(f"{name}.sql").read_text(encoding="utf-8")
