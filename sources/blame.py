"""Which setting a row broke, and which row: DuckDB says of an expression that fails on some value neither of them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

from driftline.contracts import BadInput, Source
from driftline.sources.columns import resolve
from driftline.sources.from_clause import LocalRelation
from driftline.sources.header import is_named
from driftline.sources.session import BAD_INPUT, mend_of, quoted, words

SHOWN = 200
"""Characters of a row that are shown."""


@contextmanager
def blamed(raw: LocalRelation, source: Source) -> Iterator[None]:
    """Names the setting and the row in what is raised inside, where an expression failed on a row."""
    try:
        yield
    except BadInput as error:
        cause = error.__cause__
        if isinstance(cause, duckdb.DataError | duckdb.InvalidInputException) and (found := _culprit(raw, source)):
            knob, written, row = found
            said = f"{words(cause)}; {knob} = {written!r} fails on the row {row} of {raw.where}"
            raise BadInput(f"source: {said}" + (f": {mend}" if (mend := mend_of(cause)) else "")) from cause
        raise


def _culprit(raw: LocalRelation, source: Source) -> tuple[str, str, str] | None:
    """The setting, as it is written, and the row as text."""
    settings = {
        "source.timestamp": source.timestamp,
        "source.user": source.user,
        "source.item": source.item,
        "source.positive": source.positive,
        "source.basket": source.basket or "",
    }
    with suppress(duckdb.Error):  # where a transaction is open, it was aborted
        raw.con.rollback()
    for knob, written in settings.items():
        if not written:
            continue
        sql = resolve(raw, knob, written).sql
        try:
            raw.con.execute(f"SELECT count({sql}) FROM {raw.sql}").fetchall()
        except BAD_INPUT:
            used = [name for name in raw.columns if is_named(name, written.lower())]
            named = " AND ".join(f"raw.{quoted(name)} IS NOT NULL" for name in used)
            row = None
            with suppress(duckdb.Error):  # TRY is not for every expression
                query = f"SELECT CAST(raw AS VARCHAR) FROM {raw.sql} WHERE TRY({sql}) IS NULL AND {named or 'true'} LIMIT 1"
                row = raw.con.execute(query).fetchone()
            return (knob, written, row[0][:SHOWN]) if row else None
    return None
