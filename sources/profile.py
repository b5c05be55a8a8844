"""What a source holds: the figures that `driftline ingest` prints, and the catalogue that clusters are built from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import duckdb
import pyarrow as pa

from driftline.contracts import BadInput, Source
from driftline.sources.identity import WORDS
from driftline.sources.log import IMPOSSIBLE, describe_source, open_items, open_source
from driftline.sources.missing import HEAVY
from driftline.sources.reading import Reading
from driftline.sources.session import arrow, explained, literal

CATALOGUE = pa.schema([("item", pa.string()), ("text", pa.string()), ("traffic", pa.int64())])

LOG = """
SELECT count(*), count(*) FILTER (positive), count(DISTINCT "user"), count(DISTINCT item), min(ts), max(ts) FROM driftline_events
"""
FAULTS = """
SELECT fault, count(*), min(replace(concat('user ', coalesce("user", '(none)'), ', item ', coalesce(item, '(none)'), ', time ',
    coalesce(CAST(ts AS VARCHAR), '(none)')), chr(0), '␀'))
FROM driftline_log WHERE fault IS NOT NULL GROUP BY fault ORDER BY fault
"""
UNKNOWN = """
SELECT count(*), coalesce(sum(n), 0), max_by(item, n) FROM (SELECT item, count(*) AS n FROM driftline_events GROUP BY item) AS e
ANTI JOIN driftline_items AS i USING (item)
"""
HEAVIEST = """
SELECT {0}, count(*) AS n FROM driftline_events GROUP BY {0} ORDER BY n DESC, {0} LIMIT 1
"""
PLACEHOLDERS = """
SELECT {0}, count(*) AS n FROM driftline_events WHERE lower({0}) IN ({1}) GROUP BY {0} ORDER BY n DESC, {0}
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


UNKNOWN_SHARE = 0.2
"""Of the events, from which a catalogue is too old or of something else."""
MENDS = {
    "events_with_float_id": (
        "source.user",
        "an id was a float for a while: write regexp_replace(user, '[.]0+$', ''), or TRY_CAST(user AS BIGINT), or so of the item",
    ),
    "events_with_nul_in_id": ("source.user", "write replace(user, chr(0), ''), likewise for the item"),
    IMPOSSIBLE: (
        "source.timestamp",
        "times before 1990 or more than a year ahead stand for none, or their unit is another: check source.timestamp",
    ),
}
"""The setting and what to write, by fault."""


@dataclass(frozen=True)
class Heaviest:
    """The user or item with most events."""

    id: str
    events: int
    share: float


@dataclass(frozen=True)
class Finding:
    """Something about a source that its owner should know, with what mends it."""

    level: Literal["warning", "error"]
    setting: str
    message: str


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
    findings: tuple[Finding, ...] = ()


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
            raise BadInput(f"source.events: the log has no event that can be used ({reasons}){_hint(dropped)}")
        user, item = (_heaviest(con, name, events) for name in ('"user"', "item"))
        findings = [*_heavy(source, user, item), *_light_placeholders(con, source), *_faults(dropped, examples)]
        known = unknown_items = unknown_events = None
        if source.items.strip():
            known, without_item, bad_id, without_text, several = _one(con, ITEMS)
            ((unknown_items, unknown_events, example),) = con.execute(UNKNOWN).fetchall()
            findings += _unknown(con, unknown_events / events, example)
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


def _heaviest(con: duckdb.DuckDBPyConnection, name: str, events: int) -> Heaviest:
    ((value, n),) = con.execute(HEAVIEST.format(name)).fetchall()
    return Heaviest(value, n, n / events)


def _heavy(source: Source, user: Heaviest, item: Heaviest) -> Iterator[Finding]:
    for noun, written, one in (("user", source.user, user), ("item", source.item, item)):
        if one.share > HEAVY:
            message = (
                f"{noun} {one.id!r} has {one.events:,} events, {one.share:.1%} of the log: if it stands for many or for none, "
                f"make it null, e.g. NULLIF({written}, {literal(one.id)})"
            )
            yield Finding("warning", f"source.{noun}", message)


def _light_placeholders(con: duckdb.DuckDBPyConnection, source: Source) -> Iterator[Finding]:
    """Ids that look as if there were none, but are too rare to be left out."""
    for noun, written, name in (("user", source.user, '"user"'), ("item", source.item, "item")):
        found = con.execute(PLACEHOLDERS.format(name, ", ".join(map(literal, WORDS)))).fetchall()
        for value, n in found[:3]:
            message = f"{noun} {value!r} has {n:,} events: if it stands for none, write NULLIF({written}, {literal(value)})"
            yield Finding("warning", f"source.{noun}", message)


def _faults(dropped: Mapping[str, int], examples: Mapping[str, str]) -> Iterator[Finding]:
    """Rows that are left out and could be mended."""
    for fault, (setting, mend) in MENDS.items():
        if fault in dropped:
            message = f"{dropped[fault]:,} {fault.replace('_', ' ')}, e.g. {examples[fault]}: {mend}"
            yield Finding("warning" if fault == IMPOSSIBLE else "error", setting, message)


def _unknown(con: duckdb.DuckDBPyConnection, share: float, example: str | None) -> Iterator[Finding]:
    if share > UNKNOWN_SHARE:
        found = con.execute("SELECT item FROM driftline_items LIMIT 1").fetchone()
        message = (
            f"{share:.1%} of the events are of items that the catalogue has no text for, e.g. {example!r}; it has items such as "
            f"{found[0] if found else None!r}: check source.item and source.catalogue_item, or bring the catalogue up to date"
        )
        yield Finding("error" if share == 1 else "warning", "source.items", message)


def _hint(dropped: Mapping[str, int]) -> str:
    return "".join(f"; {mend}" for fault, (_, mend) in MENDS.items() if fault in dropped)


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
