"""Opens a source: a DuckDB connection in which the log and the catalogue have one shape, whatever they look like outside.

Temporary views (names that no attached database is likely to have):

- `driftline_log(user, item, ts, positive, basket, written, fault)`: every row; `fault` says why one cannot be used, or is null,
  and `written` is the time as the log has it.
- `driftline_events(user, item, ts, positive, basket)`: the usable rows. Ids are VARCHAR, `ts` is TIMESTAMP in UTC.
- `driftline_catalogue(item, text)`: every row of the catalogue.
- `driftline_items(item, text)`: items that have text, each once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb

from driftline.contracts import BadInput, Source, Window
from driftline.sources.blame import blamed
from driftline.sources.columns import predicate, resolve
from driftline.sources.from_clause import LocalRelation, find
from driftline.sources.identity import BLOB, NONE, Identifier, Missing, badly_written, fields, identifier
from driftline.sources.missing import find_missing
from driftline.sources.reading import Reading
from driftline.sources.relation import Relation
from driftline.sources.session import connect, explained, literal
from driftline.sources.times import Stamp, possible, timestamp

EVENTS = 'SELECT l."user", l.item, l.ts, l.positive, l.basket FROM driftline_log AS l WHERE l.fault IS NULL'
SPAN = "SELECT min(ts) AS first, max(ts) AS last FROM driftline_log WHERE {}"

ID_FAULTS = ("events_without_user", "events_without_item", "events_with_float_id", "events_with_nul_in_id")
"""Of events that have a time, so that they are counted by window."""
IMPOSSIBLE = "events_with_impossible_timestamp"
"""Outside of what `times.possible` says."""
NO_TEXT = "('', 'nan', 'none', 'null', 'undefined', 'n/a', 'na', '-', '.', '?', '\\n')"
"""What stands for no text in a catalogue, in lower case."""


@dataclass(frozen=True)
class Opened:
    """A source that is open: its connection, and how the files of the log and the catalogue are read."""

    con: duckdb.DuckDBPyConnection
    log: Reading
    catalogue: Reading | None
    missing: Missing


@contextmanager
def open_source(
    source: Source, items: bool = True, window: Window | None = None, plain: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views above, those of the catalogue only if `items` and there is one.

    `window`: where ids are looked for that stand for none (`sources.missing`); without it, in all of the log. `plain`: as if ids
    needed no care, for who looks at the distinct ones (`sources.identity.needs_care`).

    Raises:
        BadInput: A setting of `source` does not fit what is there; says which, and what there is.
    """
    with describe_source(source, items, window, plain) as opened:
        yield opened.con


@contextmanager
def describe_source(source: Source, items: bool = True, window: Window | None = None, plain: bool = False) -> Iterator[Opened]:
    """Opens a source as `open_source` does, and says how it was read."""
    with connect(source.setup) as con:
        raw = find_log(con, source)
        with blamed(raw, source):
            log, missing = _define_log(con, raw, source, window, plain)
            catalogue = _define_items(con, source) if items and source.items.strip() else None
            yield Opened(con, log, catalogue, missing)


@contextmanager
def open_items(source: Source) -> Iterator[duckdb.DuckDBPyConnection]:
    """The views of the catalogue alone; the log is not looked at.

    Raises:
        BadInput: As `open_source`; or there is no catalogue.
    """
    if not source.items.strip():
        raise BadInput("source.items is not set: the texts of an item catalogue say which interest an item belongs to")
    with connect(source.setup) as con:
        _define_items(con, source)
        yield con


def span(source: Source) -> tuple[datetime, datetime]:
    """Times of the first and the last event, UTC. Reads one column."""
    with connect(source.setup) as con:
        raw = find_log(con, source)
        with blamed(raw, source):
            _define_log(con, raw, source, None, plain=True)
            return log_span(con)


def log_span(con: duckdb.DuckDBPyConnection) -> tuple[datetime, datetime]:
    with explained("source.events"):
        ((first, last),) = con.execute(SPAN.format(possible("ts"))).fetchall()
    return utc_span(first, last)


def utc_span(first: datetime | None, last: datetime | None) -> tuple[datetime, datetime]:
    if first is None or last is None:
        raise BadInput("source.events: the log has no event with a date and time since 1990: check source.timestamp")
    return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)


def ids(source: Source) -> list[str]:
    """Columns of the log that are text, even if they look like numbers."""
    return [source.user, source.item, source.basket or source.user]


@dataclass(frozen=True)
class LogQuery:
    """The definition of `driftline_log`, in DuckDB's SQL, and what it needs to know of the columns."""

    sql: str
    user: Identifier
    item: Identifier
    stamp: Stamp


def log_query(
    raw: Relation, source: Source, window: Window | None = None, missing: Missing = NONE, plain: bool = False
) -> LogQuery:
    user = identifier(raw, "source.user", source.user, plain=plain)
    item = identifier(raw, "source.item", source.item, plain=plain)
    basket = (
        identifier(raw, "source.basket", source.basket, day=True, plain=plain).sql if source.basket else "CAST(NULL AS VARCHAR)"
    )
    positive = predicate(raw, "source.positive", source.positive)
    column = resolve(raw, "source.timestamp", source.timestamp)
    stamp = timestamp(raw, column)
    texts = [] if plain else [name for name, one in (('"user"', user), ("item", item)) if one.was_text]
    float_id = " OR ".join(map(badly_written, texts)) or "false"
    has_nul = " OR ".join(raw.has_nul(name) for name in texts) or "false"
    asked = utc(window.end) if window else None
    sql = f"""
        SELECT "user", item, ts, positive, basket, written,
            CASE
                WHEN no_stamp THEN 'events_without_timestamp'
                WHEN ts IS NULL OR NOT isfinite(ts) THEN 'events_with_unreadable_timestamp'
                WHEN NOT ({possible("ts", asked)}) THEN '{IMPOSSIBLE}'
                WHEN "user" IS NULL{_among('"user"', missing.users)} THEN 'events_without_user'
                WHEN item IS NULL{_among("item", missing.items)} THEN 'events_without_item'
                WHEN {float_id} THEN 'events_with_float_id'
                WHEN {has_nul} THEN 'events_with_nul_in_id'
            END AS fault
        FROM (
            SELECT {user.sql} AS "user", {item.sql} AS item, {stamp.sql} AS ts, {positive} AS positive, {basket} AS basket,
                {column.sql} IS NULL AS no_stamp, CAST({column.sql} AS VARCHAR) AS written
            FROM {raw.sql}
        ) AS placed"""
    return LogQuery(sql, user, item, stamp)


def look_for_missing(raw: Relation, query: LogQuery, window: Window | None) -> Missing:
    """Ids of the window that stand for none; of items only without a window, for in it they are unknown items anyway."""
    if window is None:
        return find_missing(raw, query.user, query.item, "true")
    ts = query.stamp.sql
    return find_missing(
        raw, query.user, None, f"{ts} >= TIMESTAMP '{utc(window.start)}' AND {ts} < TIMESTAMP '{utc(window.end)}'"
    )


def utc(time: datetime) -> datetime:
    """Converts a time to UTC without a zone, as the views have it."""
    return time.replace(tzinfo=None) if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _among(name: str, missing: tuple[str, ...]) -> str:
    return f" OR {name} IN ({', '.join(map(literal, missing))})" if missing else ""


def find_log(con: duckdb.DuckDBPyConnection, source: Source) -> LocalRelation:
    """The log as it is, for DuckDB. Raises BadInput as `from_clause.find`."""
    settings = [source.user, source.item, source.timestamp, source.positive, source.basket or ""]
    return find(con, "source.events", source.events, ids(source), settings)


def _define_log(
    con: duckdb.DuckDBPyConnection, raw: LocalRelation, source: Source, window: Window | None, plain: bool
) -> tuple[Reading, Missing]:
    query, missing = log_query(raw, source, window, plain=plain), NONE
    with explained("source"):
        if not plain and (missing := look_for_missing(raw, query, window)) != NONE:
            query = log_query(raw, source, window, missing)
        con.execute(f"CREATE OR REPLACE TEMP VIEW driftline_log AS {query.sql}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW driftline_events AS {EVENTS}")
    return replace(raw.reading, times=query.stamp.formats, zone=query.stamp.zone), missing


def _define_items(con: duckdb.DuckDBPyConnection, source: Source) -> Reading:
    raw = find(con, "source.items", source.items, [source.catalogue_item], [source.catalogue_item, source.text])
    item = identifier(raw, "source.catalogue_item", source.catalogue_item)
    text = _text(raw, source.text)
    bad = f"{badly_written('item')} OR {raw.has_nul('item')}"
    con.execute(f"""
        CREATE OR REPLACE TEMP VIEW driftline_catalogue AS
        SELECT item, CASE WHEN lower(text) NOT IN {NO_TEXT} THEN text END AS text, coalesce({bad}, false) AS bad
        FROM (SELECT {item.sql} AS item, TRIM(replace({text}, chr(0), ' ')) AS text FROM {raw.sql}) AS placed""")
    # Of several texts of one item the alphabetically first: the same in every run, whatever the order of rows.
    con.execute("""
        CREATE OR REPLACE TEMP VIEW driftline_items AS
        SELECT item, MIN(text) AS text FROM driftline_catalogue
        WHERE item IS NOT NULL AND text IS NOT NULL AND NOT bad GROUP BY item""")
    return raw.reading


def _text(raw: LocalRelation, written: str) -> str:
    """SQL of the item's text. Raises BadInput where a column holds values inside of its values; says how to name them."""
    column = resolve(raw, "source.text", written)
    kind = column.kind
    if BLOB.fullmatch(kind):
        return f"decode({column.sql})"
    if kind.endswith("]"):
        advice = f"write an expression such as array_to_string({written}, ' ')"
    elif kind.startswith(("STRUCT", "MAP", "UNION")):
        advice = f"name a field of it, e.g. {written}.{fields(kind).split(', ')[0]} (fields: {fields(kind)})"
    else:
        return f"CAST({column.sql} AS VARCHAR)"
    raise BadInput(f"source.text = {written!r} is {kind} in {raw.where}; a text is one value: {advice}")
