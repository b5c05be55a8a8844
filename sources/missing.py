"""Ids that stand for a missing one: `nan`, `None`, `0`. Taken for users, they are one giant user in every statistic.

They are looked for in the window that is read, so that what comes later changes no counts of before.
"""

from driftline.sources.identity import NUMBERS, WORDS, Identifier, Missing
from driftline.sources.relation import Relation
from driftline.sources.session import literal

HEAVY = 0.01
"""Share of the events from which an id of these is a missing one. The user 0 of a small log has as much: a number also …"""
UNUSUAL_USER, UNUSUAL_ITEM = 2, 10
"""… has so many times the events of any other id: an item 0 may sell well."""


def find_missing(rows: Relation, user: Identifier, item: Identifier | None, span: str) -> Missing:
    """Finds the ids that stand for a missing user or item. `span`: SQL, which events are looked at. Items are looked at where
    they are given."""
    return Missing(_heavy(rows, user, UNUSUAL_USER, span), _heavy(rows, item, UNUSUAL_ITEM, span) if item else ())


def _heavy(rows: Relation, own: Identifier, unusual: int, span: str) -> tuple[str, ...]:
    # The column as it is: DuckDB takes the list into the scan of a Parquet file.
    column = (
        own.column.sql if own.column.kind in ("VARCHAR", "STRING") or not own.was_text else f"CAST({own.column.sql} AS VARCHAR)"
    )
    listed = ", ".join(map(literal, _written())) if own.was_text else ", ".join(NUMBERS)
    source = f"FROM {rows.sql} WHERE {span}"
    counted = f"SELECT {column} AS id, COUNT(*) AS n {source} AND {column} IN ({listed}) GROUP BY {column}"
    found = {str(name): int(n) for name, n in rows.rows(counted)}
    if not found:
        return ()
    ((events,),) = rows.rows(f"SELECT COUNT(*) AS n {source}")
    heavy = {name: n for name, n in found.items() if n > HEAVY * events}
    if any(name in NUMBERS for name in heavy):
        others = f"SELECT COUNT(*) AS n {source} AND {column} NOT IN ({listed}) GROUP BY {column}"
        ((most,),) = rows.rows(f"SELECT MAX(n) AS n FROM ({others}) AS others")
        heavy = {name: n for name, n in heavy.items() if name not in NUMBERS or (most and n >= unusual * int(most))}
    return tuple(sorted(heavy))


def _written() -> list[str]:
    cases = [(word, word.upper(), word.capitalize()) for word in WORDS]
    return [*dict.fromkeys(form for forms in cases for form in forms), "NaN", *NUMBERS]
