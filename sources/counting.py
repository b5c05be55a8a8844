"""Counts triples in one window (design §3.1, §3.2), by one of several counting engines.

`triples.sql` is the definition, `figures.sql` that of the figures around it. `packed.py` gives the same rows and figures sooner;
`spark.py` and `database.py` run the SQL where the log is.
"""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import BadInput, Sequences, Source, Window
from driftline.sources.counting_engines import open_engine
from driftline.sources.identity import Unclean
from driftline.sources.log import SPAN, utc, utc_span
from driftline.sources.packed import count_packed
from driftline.sources.sequences import REFERENCE, over_sequences, parameters, sql_file
from driftline.sources.session import RunQuery
from driftline.sources.times import possible

COUNTS = pa.schema([("c1", pa.int32()), ("c2", pa.int32()), ("c_next", pa.int32()), ("n", pa.int64())])

# Rows that cannot be placed in any window, so they are those of the whole log.
UNDATED = """
SELECT fault, count(*) AS n FROM driftline_log WHERE ts IS NULL OR NOT ({}) GROUP BY fault ORDER BY fault"""


@dataclass(frozen=True)
class Counted:
    """The triples of a window. `table`: columns c1, c2, c_next (int32), n (int64), sorted, unique."""

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


def count_triples(source: Source, sequences: Sequences, window: Window, assignment: pa.Table, engine: str = "duckdb") -> Counted:
    """Counts the triples of `[window.start, window.end)`. `assignment`: columns item (str), cluster (int32), one row per item.

    `engine`: as in `counting.engine`, or REFERENCE. All give the same.

    Raises:
        BadInput: The window has no event that counts; `source` or `assignment` is not as it should be; the engine is not there.
    """
    try:
        table, figures, undated = _count(engine, source, sequences, window, assignment, plain=engine != REFERENCE)
    except Unclean:
        table, figures, undated = _count(engine, source, sequences, window, assignment, plain=False)
    dropped = {name: n for name, n in figures.items() if name.startswith(("events_", "unknown_"))}
    dropped |= undated
    dropped["users_with_fewer_than_three_clusters"] = figures["users"] - figures["sequences"]
    return Counted(
        table=table.cast(COUNTS),
        events=figures["events"],
        users=figures["users"],
        sequences=figures["sequences"],
        triples=pc.sum(table["n"]).as_py() or 0,
        dropped={name: n for name, n in dropped.items() if n},
    )


def _count(
    engine: str, source: Source, sequences: Sequences, window: Window, assignment: pa.Table, plain: bool
) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
    """Counted, the figures around them, and faults of the whole log. `plain`: as if ids needed no care.

    Raises:
        Unclean: some do.
    """
    with open_engine(engine, source, assignment, window, plain) as (run_query, con):
        counted = count_packed(con, source, sequences, window, plain) if con and engine != REFERENCE else None
        if counted is None and con and plain:
            raise Unclean
        table, figures = counted or _count_by_sql(run_query, sequences, window)
        if not figures["events"]:
            raise _nothing(run_query, window, figures)
        undated = run_query(UNDATED.format(possible("ts")), {}).to_pydict()
    return table, figures, dict(zip(undated["fault"], undated["n"], strict=True))


def _count_by_sql(run_query: RunQuery, sequences: Sequences, window: Window) -> tuple[pa.Table, dict[str, int]]:
    asked = parameters(sequences, window)
    (figures,) = run_query(sql_file("figures"), {name: asked[name] for name in ("start", "end")}).to_pylist()
    return run_query(over_sequences("triples"), asked), {name: int(n or 0) for name, n in figures.items()}


def _nothing(run_query: RunQuery, window: Window, figures: dict[str, int]) -> BadInput:
    """Why no event counts: none at all, none usable, none positive, or none of a known item."""
    where = f"the window [{_text(window.start)}, {_text(window.end)})"
    if not figures["rows"]:
        (found,) = run_query(SPAN.format(possible("ts")), {}).to_pylist()
        first, last = utc_span(**found)
        return BadInput(
            f"{where} has no events: the log goes from {_text(first)} to {_text(last)}. "
            "Choose the run's nominal time with --at of `driftline run`, or its length in driftline.toml"
        )
    if figures["events_of_unknown_items"]:
        logged, known = (run_query(f"SELECT item FROM driftline_{name} LIMIT 1", {})["item"] for name in ("events", "assignment"))
        return BadInput(
            f"{where}: none of its {figures['unknown_items']} items is in the cluster set; "
            f"the log has items such as {logged[0].as_py()!r}, the cluster set {known[0].as_py() if known else None!r}: "
            "check source.item and source.catalogue_item"
        )
    if figures["events_not_positive"]:
        return BadInput(f"{where} has {figures['events_not_positive']} events but none is positive: check source.positive")
    return BadInput(f"{where} has {figures['rows']} events, but all lack a user or an item: check source.user and source.item")


def _text(time: datetime) -> str:
    return f"{utc(time):%Y-%m-%d %H:%M}"
