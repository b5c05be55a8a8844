"""What a source holds: the figures that `driftline ingest` prints, and the catalogue that clusters are built from."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from driftline.contracts import BadInput, Source
from driftline.sources.findings import Heaviest, SourceFinding, heaviest, hint, of_catalogue, of_faults, of_log
from driftline.sources.log import describe_source, open_items, open_source
from driftline.sources.reading import Reading
from driftline.sources.session import arrow, explained

CATALOGUE = pa.schema([("item", pa.string()), ("text", pa.string()), ("traffic", pa.int64())])

LOG = """
SELECT count(*), count(*) FILTER (positive), count(DISTINCT "user"), count(DISTINCT item), min(ts), max(ts) FROM driftline_events
"""
FAULTS = """
SELECT fault, count(*), min(replace(concat('user ', coalesce("user", '(none)'), ', item ', coalesce(item, '(none)'), ', time ',
    coalesce(CAST(ts AS VARCHAR), written, '(none)')), chr(0), '␀'))
FROM driftline_log WHERE fault IS NOT NULL GROUP BY fault ORDER BY fault
"""
UNKNOWN = """
SELECT count(*), coalesce(sum(n), 0), max_by(item, n) FROM (SELECT item, count(*) AS n FROM driftline_events GROUP BY item) AS e
ANTI JOIN driftline_items AS i USING (item)
"""
ITEMS = """
SELECT
    count(*) FILTER (item IS NOT NULL AND texts > 0) AS known,
    coalesce(sum(rows) FILTER (item IS NULL), 0) AS rows_without_item,
    coalesce(sum(rows) FILTER (bad), 0) AS rows_with_bad_id,
    count(*) FILTER (item IS NOT NULL AND texts = 0) AS items_without_text,
    count(*) FILTER (item IS NOT NULL AND texts > 1) AS items_with_several_texts
FROM (SELECT item, count(*) AS rows, count(DISTINCT text) AS texts, bool_or(bad) AS bad
    FROM driftline_catalogue GROUP BY item)
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
    log: Reading
    catalogue: Reading | None
    heaviest_user: Heaviest
    heaviest_item: Heaviest
    examples: dict[str, str] = field(default_factory=dict)
    """A row of each kind that was left out."""
    findings: tuple[SourceFinding, ...] = ()


def profile(source: Source) -> Profile:
    """Scans the whole log and the catalogue.

    Raises:
        BadInput: A setting of `source` does not fit what is there, or no event can be used.
    """
    with describe_source(source) as opened, explained("source"):
        con = opened.con
        ((events, positive, users, items, first, last),) = con.execute(LOG).fetchall()
        faults = con.execute(FAULTS).fetchall()
        dropped = {name: n for name, n, _ in faults}
        examples = {name: example for name, _, example in faults}
        if not events:
            reasons = ", ".join(f"{name}: {n}, e.g. {examples[name]}" for name, n in dropped.items()) or "it is empty"
            raise BadInput(f"source.events: the log has no event that can be used ({reasons}){hint(source, dropped)}")
        user, item = (heaviest(con, name, events) for name in ('"user"', "item"))
        findings = [*of_log(con, source, user, item, positive), *of_faults(source, events, dropped, examples)]
        known = unknown_items = unknown_events = None
        if source.items.strip():
            known, without_item, bad_id, without_text, several = _one(con, ITEMS)
            ((unknown_items, unknown_events, example),) = con.execute(UNKNOWN).fetchall()
            findings += of_catalogue(con, source, unknown_events / events, example)
            dropped |= {
                "catalogue_rows_without_item": without_item,
                "catalogue_rows_with_bad_id": bad_id,
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
            unknown_events=int(unknown_events) if unknown_events is not None else None,
            dropped={name: n for name, n in dropped.items() if n},
            log=opened.log,
            catalogue=opened.catalogue,
            heaviest_user=user,
            heaviest_item=item,
            examples=examples,
            findings=tuple(findings),
        )


def offered(source: Source) -> pa.Array:
    """The ids of the catalogue's items, whether or not they have text: what is not among them is withdrawn.

    Raises:
        BadInput: there is no catalogue, or a setting of `source` does not fit it.
    """
    with open_items(source) as con, explained("source.items"):
        found = arrow(con, "SELECT DISTINCT item FROM driftline_catalogue WHERE item IS NOT NULL AND NOT bad ORDER BY item")
    return found["item"].cast(pa.string()).combine_chunks()


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


def texts(source: Source) -> pa.Table:
    """Items that have text: item (str), text (str), sorted by item. The log is not read.

    Raises:
        BadInput: There is no catalogue, or a setting of `source` does not fit it.
    """
    with open_items(source) as con, explained("source"):
        return arrow(con, "SELECT item, text FROM driftline_items ORDER BY item")


def traffic(source: Source) -> pa.Table:
    """Positive events of every item of the log: item (str), traffic (int64), sorted by item. Needs no catalogue.

    Raises:
        BadInput: A setting of `source` does not fit what is there.
    """
    with open_source(source, items=False) as con, explained("source"):
        return arrow(con, TRAFFIC).cast(pa.schema([CATALOGUE.field("item"), CATALOGUE.field("traffic")]))


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    (row,) = con.execute(query).fetchall()
    return tuple(int(value or 0) for value in row)
