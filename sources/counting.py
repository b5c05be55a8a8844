"""Counts of triples in one window (design §3.1, §3.2).

`triples.sql` is the definition, FIGURES that of the figures around it. `packed.py` gives the same rows and figures sooner.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from contracts import Sequences, Source, Window
from sources.log import log_span
from sources.packed import count_packed
from sources.sequences import open_assigned, over_sequences, parameters, utc
from sources.session import arrow, explained

COUNTS = pa.schema([("c1", pa.int32()), ("c2", pa.int32()), ("c_next", pa.int32()), ("n", pa.int64())])

FIGURES = """
WITH seen AS (
    SELECT l."user", l.item, l.fault, l.fault IS NULL AND l.positive AS counts, a.cluster
    FROM driftline_log AS l
    LEFT JOIN driftline_assignment AS a ON a.item = l.item
    WHERE l.ts >= $start AND l.ts < $end
),
users AS (
    SELECT
        count(*) AS rows,
        count(*) FILTER (counts AND cluster IS NOT NULL) AS events,
        count(*) FILTER (fault IS NULL AND NOT counts) AS not_positive,
        count(*) FILTER (counts AND cluster IS NULL) AS unknown,
        count(*) FILTER (fault = 'events_without_user') AS without_user,
        count(*) FILTER (fault = 'events_without_item') AS without_item,
        count(DISTINCT cluster) FILTER (counts) AS clusters
    FROM seen GROUP BY "user"
)
SELECT
    sum(rows) AS rows,
    sum(events) AS events,
    count(*) FILTER (clusters > 0) AS users,
    count(*) FILTER (clusters >= 3) AS sequences,
    sum(not_positive) AS events_not_positive,
    sum(unknown) AS events_of_unknown_items,
    (SELECT count(DISTINCT item) FROM seen WHERE counts AND cluster IS NULL) AS unknown_items,
    sum(without_user) AS events_without_user,
    sum(without_item) AS events_without_item
FROM users
"""

# Rows that cannot be placed in any window, so they are those of the whole log.
UNDATED = "SELECT fault, count(*) FROM driftline_log WHERE ts IS NULL GROUP BY fault ORDER BY fault"


@dataclass(frozen=True)
class Counts:
    """`table`: columns c1, c2, c_next (int32), n (int64), sorted, unique."""

    table: pa.Table
    events: int
    """Positive events in the window whose item has a cluster."""
    users: int
    """Users with such an event."""
    sequences: int
    """Users with three or more distinct clusters: those with a triple."""
    triples: int
    """Occurrences: the sum of n."""
    dropped: dict[str, int]
    """What was left out, by reason; zeros are not listed. Events without a readable time are those of the whole log."""


def count_triples(
    source: Source, sequences: Sequences, window: Window, assignment: pa.Table, engine: Literal["packed", "sql"] = "packed"
) -> Counts:
    """Counts the triples of `[window.start, window.end)`. `assignment`: columns item (str), cluster (int32), one row per item.

    `engine`: both give the same. `packed` leaves to the SQL what does not fit it.

    Raises:
        ValueError: The window has no event that counts, or `source` or `assignment` is not as it should be.
    """
    with open_assigned(source, assignment) as con:
        # One transaction, so that all scans of a live database see the same rows.
        con.begin()
        with explained("source"):
            counted = count_packed(con, source, sequences, window) if engine == "packed" else None
            table, figures = counted or _count_by_sql(con, sequences, window)
            if not figures["events"]:
                raise _nothing(con, window, figures)
            undated: list[tuple[str, int]] = con.execute(UNDATED).fetchall()
        con.rollback()
    dropped = {name: int(n) for name, n in figures.items() if name.startswith(("events_", "unknown_"))} | dict(undated)
    dropped["users_with_fewer_than_three_clusters"] = figures["users"] - figures["sequences"]
    return Counts(
        table=table.cast(COUNTS),
        events=int(figures["events"]),
        users=figures["users"],
        sequences=figures["sequences"],
        triples=pc.sum(table["n"]).as_py() or 0,
        dropped={name: n for name, n in dropped.items() if n},
    )


def _count_by_sql(con: duckdb.DuckDBPyConnection, sequences: Sequences, window: Window) -> tuple[pa.Table, dict[str, int]]:
    asked = parameters(sequences, window)
    figures = arrow(con, FIGURES, {name: asked[name] for name in ("start", "end")}).to_pylist()[0]
    return arrow(con, over_sequences("triples"), asked), figures


def _nothing(con: duckdb.DuckDBPyConnection, window: Window, figures: dict[str, int]) -> ValueError:
    """Why no event counts: none at all, none usable, none positive, or none of a known item."""
    where = f"the window [{_text(window.start)}, {_text(window.end)})"
    if not figures["rows"]:
        first, last = log_span(con)
        return ValueError(
            f"{where} has no events: the log goes from {_text(first)} to {_text(last)}. "
            "Choose the run's nominal time with --at of `driftline run`, or its length in driftline.toml"
        )
    if figures["events_of_unknown_items"]:
        logged = con.execute("SELECT item FROM driftline_events LIMIT 1").fetchone()
        known = con.execute("SELECT item FROM driftline_assignment LIMIT 1").fetchone()
        return ValueError(
            f"{where}: none of its {figures['unknown_items']} items is in the cluster set; "
            f"the log has items such as {logged and logged[0]!r}, the cluster set {known and known[0]!r}: "
            "check source.item and source.catalogue_item"
        )
    if figures["events_not_positive"]:
        return ValueError(f"{where} has {figures['events_not_positive']} events but none is positive: check source.positive")
    return ValueError(f"{where} has {figures['rows']} events, but all lack a user or an item: check source.user and source.item")


def _text(time: datetime) -> str:
    return f"{utc(time):%Y-%m-%d %H:%M}"
