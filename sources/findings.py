"""What the owner of a log should know about it, each with what mends it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import duckdb

from driftline.contracts import QUERY, Source
from driftline.sources.identity import WORDS
from driftline.sources.log import IMPOSSIBLE
from driftline.sources.missing import HEAVY
from driftline.sources.session import literal, spoken

HEAVIEST = """
SELECT {0}, count(*) AS n FROM driftline_events GROUP BY {0} ORDER BY n DESC, {0} LIMIT 1
"""
PLACEHOLDERS = """
SELECT {0}, count(*) AS n FROM driftline_events WHERE lower({0}) IN ({1}) GROUP BY {0} ORDER BY n DESC, {0}
"""
# What is alike but for zeros in front, blanks of no width, quotes of a spreadsheet, and how accents are composed.
LIKE = """regexp_replace(regexp_replace(translate(nfc_normalize({0}), '０１２３４５６７８９', '0123456789'),
    '[\u00ad\u200b-\u200f\u2060\ufeff ="'',]', '', 'g'), '^[+]?0+([0-9]+)$', '\\1')"""
TWINS = """
SELECT count(*), coalesce(sum(n), 0), min_by(low, (-n, low)), min_by(high, (-n, low)) FROM (
    SELECT min(id) AS low, max(id) AS high, sum(n) AS n
    FROM (SELECT {0} AS id, count(*) AS n FROM driftline_events GROUP BY id) AS ids GROUP BY {1} HAVING count(*) > 1) AS alike
"""
CASES = """
SELECT count(DISTINCT {0}), count(DISTINCT lower({0})) FROM driftline_events
"""
KNOWN_OTHERWISE = """
SELECT e.item, i.item, e.n FROM (SELECT {0} AS alike, item, count(*) AS n FROM driftline_events AS l
    WHERE item NOT IN (SELECT item FROM driftline_items) GROUP BY ALL) AS e
JOIN (SELECT {0} AS alike, item FROM driftline_items) AS i USING (alike) ORDER BY e.n DESC, e.item, i.item LIMIT 1
"""
CATALOGUE = """
SELECT count(*), count(*) FILTER (bad), min(item) FILTER (bad), count(*) FILTER (text IS NOT NULL AND NOT bad),
    count(*) FILTER (NOT regexp_matches(text, '\\p{L}')), min(text) FILTER (NOT regexp_matches(text, '\\p{L}'))
FROM driftline_catalogue
"""
GUESSED = re.compile(
    r"\bread_csv(_auto)?\s*\((?![^)]*(all_varchar|columns|types|dtypes)\s*=)|\bfrom\s+'[^']*\.(csv|tsv)[^']*'", re.I
)

UNKNOWN_SHARE = 0.2
"""Of the events, from which a catalogue is too old or of something else."""
UNREADABLE_SHARE = 0.2
"""Of the rows without a readable time, from which the log is not in the format that was taken."""
CASE_SHARE = 0.01
"""Of the ids, from which capitals are not what tells them apart."""
UNREADABLE = "events_with_unreadable_timestamp"
MENDS = {
    "events_with_float_id": (
        "source.user",
        "an id was a float for a while: write regexp_replace({user}, '[.]0*$', ''), or TRY_CAST({user} AS BIGINT), or so of "
        "{item}; one such as 1.2e+18 has lost digits: write the log again with ids as text",
    ),
    "events_with_nul_in_id": ("source.user", "write replace({user}, chr(0), ''), likewise for {item}"),
    UNREADABLE: (
        "source.timestamp",
        "these rows have another format or none: write an expression that reads both, such as coalesce("
        "TRY_CAST({ts} AS TIMESTAMP), try_strptime({ts}, '%d/%m/%Y')), or to_timestamp(TRY_CAST({ts} AS BIGINT)) for seconds",
    ),
    IMPOSSIBLE: (
        "source.timestamp",
        "times before 1990 or more than a year ahead stand for none, or their unit is another: check source.timestamp",
    ),
}
"""The setting and what to write, by fault, with the owner's columns."""
WARNINGS = (UNREADABLE, IMPOSSIBLE)
"""Faults that a few rows may have."""


@dataclass(frozen=True)
class Heaviest:
    """The user or item with most events."""

    id: str
    events: int
    share: float


@dataclass(frozen=True)
class SourceFinding:
    """Something about a source that its owner should know, with what mends it."""

    level: Literal["warning", "error"]
    setting: str
    message: str


def heaviest(con: duckdb.DuckDBPyConnection, name: str, events: int) -> Heaviest:
    ((value, n),) = con.execute(HEAVIEST.format(name)).fetchall()
    return Heaviest(value, n, n / events)


def of_log(
    con: duckdb.DuckDBPyConnection, source: Source, user: Heaviest, item: Heaviest, positive: int
) -> Iterator[SourceFinding]:
    """Yields findings about a log's ids, its predicate, and a query that guesses."""
    if QUERY.match(source.events) and GUESSED.search(source.events):
        message = (
            "DuckDB's read_csv guesses types and dates of each file by its first rows: 007 becomes 7, and 03/04/2024 is in "
            "April: add all_varchar = true to it, or name the files without a query"
        )
        yield SourceFinding("warning", "source.events", message)
    if not positive:
        message = (
            f"no event is positive by {source.positive!r}: nothing can be counted: check it against the values of its columns"
        )
        yield SourceFinding("error", "source.positive", message)
    for noun, written, one in (("user", _spoken(source.user), user), ("item", _spoken(source.item), item)):
        if one.share > HEAVY:
            message = (
                f"{noun} {one.id!r} has {one.events:,} events, {one.share:.1%} of the log: if it stands for many or for none, "
                f"make it null, e.g. NULLIF({written}, {literal(one.id)})"
            )
            yield SourceFinding("warning", f"source.{noun}", message)
    for noun, written, name in (("user", _spoken(source.user), '"user"'), ("item", _spoken(source.item), "item")):
        yield from _light_placeholders(con, noun, written, name)
        yield from _twins(con, noun, written, name)


def _light_placeholders(con: duckdb.DuckDBPyConnection, noun: str, written: str, name: str) -> Iterator[SourceFinding]:
    """Ids that look as if there were none, but are too rare to be left out."""
    found = con.execute(PLACEHOLDERS.format(name, ", ".join(map(literal, WORDS)))).fetchall()
    for value, n in found[:3]:
        message = f"{noun} {value!r} has {n:,} events: if it stands for none, write NULLIF({written}, {literal(value)})"
        yield SourceFinding("warning", f"source.{noun}", message)


def _twins(con: duckdb.DuckDBPyConnection, noun: str, written: str, name: str) -> Iterator[SourceFinding]:
    """Ids that are two and look like one."""
    ((pairs, events, low, high),) = con.execute(TWINS.format(name, LIKE.format("id"))).fetchall()
    if pairs:
        message = (
            f"{pairs:,} {noun}s with {events:,} events are written in several ways, e.g. {low!a} and {high!a}, and are taken "
            f"for different ones: if they are not, write {_alike(written, low, high)}"
        )
        yield SourceFinding("warning", f"source.{noun}", message)
    ((ids, folded),) = con.execute(CASES.format(name)).fetchall()
    if ids - folded > CASE_SHARE * ids:
        message = f"{ids - folded:,} {noun}s differ from others by capitals only: if they are the same, write lower({written})"
        yield SourceFinding("warning", f"source.{noun}", message)


def _alike(written: str, low: str, high: str) -> str:
    """The expression that makes two ids one. Without a backslash, which TOML would have doubled."""
    if low.lstrip("0+") == high.lstrip("0+"):
        return f"coalesce(nullif(ltrim({written}, '0+'), ''), '0')"
    if re.sub("[ =\"',]", "", low).lstrip("0+") == re.sub("[ =\"',]", "", high).lstrip("0+"):
        return f"regexp_replace({written}, '[ =\"'',]', '', 'g')"
    if low.isdecimal() and high.isdecimal():
        return f"translate({written}, '０１２３４５６７８９', '0123456789')"
    return f"translate(nfc_normalize({written}), chr(8203) || chr(8204) || chr(8205) || chr(8288) || chr(65279) || chr(173), '')"


def of_faults(source: Source, events: int, dropped: Mapping[str, int], examples: Mapping[str, str]) -> Iterator[SourceFinding]:
    """Rows that are left out and could be mended."""
    rows = events + sum(n for name, n in dropped.items())
    for fault, (setting, mend) in MENDS.items():
        if fault in dropped:
            message = f"{dropped[fault]:,} {fault.replace('_', ' ')}, e.g. {examples[fault]}: {_own(mend, source)}"
            few = fault == IMPOSSIBLE or (fault in WARNINGS and dropped[fault] <= UNREADABLE_SHARE * rows)
            yield SourceFinding("warning" if few else "error", setting, message)


def of_catalogue(con: duckdb.DuckDBPyConnection, source: Source, share: float, example: str | None) -> Iterator[SourceFinding]:
    """Yields findings about a catalogue. `share`: of the events that are of items without a text, such as `example`."""
    ((rows, bad, bad_id, good, mute, mute_text),) = con.execute(CATALOGUE).fetchall()
    if bad:
        message = (
            f"{bad:,} rows of the catalogue have an id that was a float for a while or has a byte 0x00, e.g. {bad_id!r}: write "
            f"regexp_replace({_spoken(source.catalogue_item)}, '[.]0*$', '')"
        )
        yield SourceFinding("error", "source.catalogue_item", message)
    if not good:
        message = f"no item of {source.items!r} has a text, of {rows:,} rows: check source.text and source.catalogue_item"
        yield SourceFinding("error", "source.items", message)
        return
    if mute > good / 2:
        message = f"{mute:,} texts have no letter, e.g. {mute_text!r}, and say nothing of an interest: check source.text"
        yield SourceFinding("warning", "source.text", message)
    if share > 0 and (found := con.execute(KNOWN_OTHERWISE.format(LIKE.format("lower(item)"))).fetchone()):
        logged, listed, n = found
        message = (
            f"the catalogue has no item {logged!r} ({n:,} events), but {listed!r}: write both alike, with expressions such as "
            f"{_alike('item', logged, listed) if logged.lower() != listed.lower() else 'lower(item)'}"
        )
        yield SourceFinding("error" if share == 1 else "warning", "source.catalogue_item", message)
    if share > UNKNOWN_SHARE:
        one = con.execute("SELECT min(item) FROM driftline_items").fetchone()
        message = (
            f"{share:.1%} of the events are of items that the catalogue has no text for, e.g. {example!r}; it has items such as "
            f"{one[0] if one else None!r}: check source.item and source.catalogue_item, or bring the catalogue up to date"
        )
        yield SourceFinding("error" if share == 1 else "warning", "source.items", message)


def hint(source: Source, dropped: Mapping[str, int]) -> str:
    """What to do where no event is left."""
    return "".join(f"; {_own(mend, source)}" for fault, (_, mend) in MENDS.items() if fault in dropped)


def _own(mend: str, source: Source) -> str:
    return mend.format(user=_spoken(source.user), item=_spoken(source.item), ts=_spoken(source.timestamp))


def _spoken(written: str) -> str:
    """A setting inside of a larger expression: what looks like a name is one."""
    return spoken(written) if re.fullmatch(r"[\w -]+", written) else written
