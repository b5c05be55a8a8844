"""Opens a source: a DuckDB connection in which the log and the catalogue have one shape, whatever they look like outside.

Temporary views (names that no attached database is likely to have):

- `driftline_log(user, item, ts, positive, basket, fault)`: every row; `fault` says why one cannot be used, or is null.
- `driftline_events(user, item, ts, positive, basket)`: the usable rows. Ids are VARCHAR, `ts` is TIMESTAMP in UTC.
- `driftline_catalogue(item, text)`: every row of the catalogue.
- `driftline_items(item, text)`: items that have text, each once.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import duckdb

from contracts import BadInput, Source
from sources.columns import Column, Rows, identifier, predicate, resolve
from sources.relations import find
from sources.session import connect, explained

EVENTS = 'SELECT l."user", l.item, l.ts, l.positive, l.basket FROM driftline_log AS l WHERE l.fault IS NULL'
SPAN = "SELECT min(ts) AS first, max(ts) AS last FROM driftline_log WHERE isfinite(ts)"

WHOLE_NUMBER = re.compile(r"\s*-?\d+\s*")
TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d{2}")


@contextmanager
def open_source(source: Source, items: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views above, those of the catalogue only if `items` and there is one.

    Raises:
        BadInput: A setting of `source` does not fit what is there; says which, and what there is.
    """
    with connect(source.setup) as con:
        _define_log(con, source)
        if items and source.items.strip():
            _define_items(con, source)
        yield con


def span(source: Source) -> tuple[datetime, datetime]:
    """Times of the first and the last event, UTC. Reads one column."""
    with open_source(source, items=False) as con:
        return log_span(con)


def log_span(con: duckdb.DuckDBPyConnection) -> tuple[datetime, datetime]:
    with explained("source.events"):
        ((first, last),) = con.execute(SPAN).fetchall()
    return utc_span(first, last)


def utc_span(first: datetime | None, last: datetime | None) -> tuple[datetime, datetime]:
    if first is None or last is None:
        raise BadInput("source.events: the log has no event with a date and time")
    return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)


def ids(source: Source) -> list[str]:
    """Columns of the log that are text, even if they look like numbers."""
    return [source.user, source.item, source.basket or source.user]


def log_query(raw: Rows, source: Source) -> str:
    """The definition of `driftline_log`, in DuckDB's SQL."""
    user = identifier(raw, "source.user", source.user)
    item = identifier(raw, "source.item", source.item)
    basket = identifier(raw, "source.basket", source.basket) if source.basket else "CAST(NULL AS VARCHAR)"
    positive = predicate(raw, "source.positive", source.positive)
    stamp = resolve(raw, "source.timestamp", source.timestamp)
    ts = _timestamp(raw, stamp)
    return f"""
        SELECT "user", item, ts, positive, basket,
            CASE
                WHEN no_stamp THEN 'events_without_timestamp'
                WHEN ts IS NULL OR NOT isfinite(ts) THEN 'events_with_unreadable_timestamp'
                WHEN "user" IS NULL THEN 'events_without_user'
                WHEN item IS NULL THEN 'events_without_item'
            END AS fault
        FROM (
            SELECT {user} AS "user", {item} AS item, {ts} AS ts, {positive} AS positive, {basket} AS basket,
                {stamp.sql} IS NULL AS no_stamp
            FROM {raw.sql}
        ) AS placed"""


def _define_log(con: duckdb.DuckDBPyConnection, source: Source) -> None:
    raw = find(con, "source.events", source.events, ids(source))
    con.execute(f"CREATE OR REPLACE TEMP VIEW driftline_log AS {log_query(raw, source)}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW driftline_events AS {EVENTS}")


def _define_items(con: duckdb.DuckDBPyConnection, source: Source) -> None:
    raw = find(con, "source.items", source.items, [source.catalogue_item])
    item = identifier(raw, "source.catalogue_item", source.catalogue_item)
    text = resolve(raw, "source.text", source.text).sql
    con.execute(f"""
        CREATE OR REPLACE TEMP VIEW driftline_catalogue AS
        SELECT {item} AS item, NULLIF(TRIM(CAST({text} AS VARCHAR)), '') AS text FROM {raw.sql}""")
    # Of several texts of one item the alphabetically first: the same in every run, whatever the order of rows.
    con.execute("""
        CREATE OR REPLACE TEMP VIEW driftline_items AS
        SELECT item, MIN(text) AS text FROM driftline_catalogue
        WHERE item IS NOT NULL AND text IS NOT NULL GROUP BY item""")


def _timestamp(raw: Rows, stamp: Column) -> str:
    """SQL of the event's time in UTC. Plain casts, because DuckDB pushes a window through them into a Parquet scan."""
    if stamp.kind == "TIMESTAMP WITH TIME ZONE":
        # Twice, so that other engines can tell; DuckDB drops the first.
        return f"CAST(CAST({stamp.sql} AS TIMESTAMPTZ) AS TIMESTAMP)"
    if stamp.kind.startswith("TIMESTAMP") or stamp.kind == "DATE":
        return f"CAST({stamp.sql} AS TIMESTAMP)"
    if stamp.kind == "VARCHAR":
        # By way of TIMESTAMPTZ: a direct cast to TIMESTAMP ignores the zone that is written in the text.
        ts = f"CAST(TRY_CAST({stamp.sql} AS TIMESTAMPTZ) AS TIMESTAMP)"
        _check_readable(raw, stamp, ts)
        return ts
    raise _not_a_time(raw, stamp, "it is " + stamp.kind, stamp.kind)


def _check_readable(raw: Rows, stamp: Column, ts: str) -> None:
    """Single bad texts are counted, but when none can be read the setting is wrong."""
    try:
        text = raw.example(stamp.sql, f"{stamp.sql} IS NOT NULL")
        if text is None or raw.example(stamp.sql, f"{ts} IS NOT NULL"):
            return
    except BadInput as error:
        raise BadInput(f"{stamp.knob} = {stamp.written!r}: {error}") from error
    kind = "BIGINT" if WHOLE_NUMBER.fullmatch(text) else "TIME" if TIME_OF_DAY.match(text) else "VARCHAR"
    raise _not_a_time(raw, stamp, f"no row can be read, e.g. {text!r}", kind)


def _not_a_time(raw: Rows, stamp: Column, why: str, kind: str) -> BadInput:
    written = stamp.written
    if kind.startswith("TIME"):
        advice = "a time of day without a date puts nothing in order: write an expression that adds the date"
    elif kind == "VARCHAR":
        advice = f"write an expression such as strptime({written}, '%d/%m/%Y %H:%M')"
    else:
        advice = (
            f"write an expression such as to_timestamp({written}) for seconds or epoch_ms({written}) for milliseconds since 1970"
        )
    return BadInput(f"{stamp.knob} = {written!r} is not a date and time in {raw.where}: {why}; {advice}")
