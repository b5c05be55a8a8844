"""What a source holds: the figures that `driftline ingest` prints, and the catalogue that clusters are built from."""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from contracts import BadInput, Source
from sources.log import open_source
from sources.session import arrow, explained

CATALOGUE = pa.schema([("item", pa.string()), ("text", pa.string()), ("traffic", pa.int64())])

LOG = """
SELECT count(*), count(*) FILTER (positive), count(DISTINCT "user"), count(DISTINCT item), min(ts), max(ts) FROM driftline_events
"""
FAULTS = "SELECT fault, count(*) FROM driftline_log WHERE fault IS NOT NULL GROUP BY fault ORDER BY fault"
UNKNOWN = """
SELECT count(*), coalesce(sum(n), 0) FROM (SELECT item, count(*) AS n FROM driftline_events GROUP BY item) AS e
ANTI JOIN driftline_items AS i USING (item)
"""
ITEMS = """
SELECT
    count(*) FILTER (item IS NOT NULL AND texts > 0) AS known,
    coalesce(sum(rows) FILTER (item IS NULL), 0) AS rows_without_item,
    count(*) FILTER (item IS NOT NULL AND texts = 0) AS items_without_text,
    count(*) FILTER (item IS NOT NULL AND texts > 1) AS items_with_several_texts
FROM (SELECT item, count(*) AS rows, count(DISTINCT text) AS texts FROM driftline_catalogue GROUP BY item)
"""
TRAFFIC = """
SELECT item, count(*) AS traffic FROM driftline_events WHERE positive GROUP BY item ORDER BY item
"""
TEXTS = """
SELECT i.item, i.text, coalesce(t.n, 0) AS traffic
FROM driftline_items AS i
LEFT JOIN (SELECT item, count(*) AS n FROM driftline_events WHERE positive GROUP BY item) AS t ON t.item = i.item
ORDER BY i.item
"""


@dataclass(frozen=True)
class Profile:
    """Usable events, and what was left out by reason (zeros are not listed)."""

    events: int
    positive: int
    users: int
    items: int
    """Distinct items of the log."""
    first: datetime
    last: datetime
    catalogue_items: int | None
    """Items that have text; None, like the next two, where no catalogue is set."""
    unknown_items: int | None
    """Items of the log that the catalogue has no text for, and their events."""
    unknown_events: int | None
    dropped: dict[str, int]


def profile(source: Source) -> Profile:
    """Scans the whole log and the catalogue.

    Raises:
        BadInput: A setting of `source` does not fit what is there, or no event can be used.
    """
    with open_source(source) as con, explained("source"):
        ((events, positive, users, items, first, last),) = con.execute(LOG).fetchall()
        dropped = dict(con.execute(FAULTS).fetchall())
        if not events:
            reasons = ", ".join(f"{name}: {n}" for name, n in dropped.items()) or "it is empty"
            raise BadInput(f"source.events: the log has no event that can be used ({reasons})")
        known = unknown_items = unknown_events = None
        if source.items.strip():
            known, without_item, without_text, several = _one(con, ITEMS)
            unknown_items, unknown_events = _one(con, UNKNOWN)
            dropped |= {
                "catalogue_rows_without_item": without_item,
                "items_without_text": without_text,
                "items_with_several_texts": several,
            }
        return Profile(
            events=events,
            positive=positive,
            users=users,
            items=items,
            first=first.replace(tzinfo=UTC),
            last=last.replace(tzinfo=UTC),
            catalogue_items=known,
            unknown_items=unknown_items,
            unknown_events=unknown_events,
            dropped={name: n for name, n in dropped.items() if n},
        )


def catalogue(source: Source) -> pa.Table:
    """Items that have text, with their positive events in the whole log: item (str), text (str), traffic (int64), sorted by item.

    Raises:
        BadInput: There is no catalogue, or no item of it has text.
    """
    if not source.items.strip():
        raise BadInput("source.items is not set: clusters are built from the texts of an item catalogue")
    with open_source(source) as con, explained("source"):
        table = arrow(con, TEXTS).cast(CATALOGUE)
    if not table.num_rows:
        raise BadInput(f"source.items = {source.items!r}: no item has text; check source.catalogue_item and source.text")
    return table


def traffic(source: Source) -> pa.Table:
    """Positive events of every item of the log: item (str), traffic (int64), sorted by item. Needs no catalogue.

    Raises:
        BadInput: A setting of `source` does not fit what is there.
    """
    with open_source(source, items=False) as con, explained("source"):
        return arrow(con, TRAFFIC).cast(pa.schema([CATALOGUE.field("item"), CATALOGUE.field("traffic")]))


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    (row,) = con.execute(query).fetchall()
    return tuple(int(value) for value in row)
