"""What a mapping is judged by: the sequences of a held-out window, and what its users had shown before. One scan gives both."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from driftline.contracts import Sequences, Source, Window
from driftline.sources.counting_engines import open_engine
from driftline.sources.log import utc
from driftline.sources.sequences import STEPS, over_sequences, parameters
from driftline.sources.session import arrow

# An event of the window stays what it is; of those before, a row per user and cluster is enough.
ONCE = """
CREATE TEMP TABLE driftline_once AS
SELECT "user", item, cluster, moment, basket, MAX(ts) AS ts
FROM (
    SELECT e."user", a.cluster, e.ts,
        CASE WHEN e.ts >= $start THEN e.item END AS item,
        CASE WHEN e.ts >= $start THEN e.ts END AS moment,
        CASE WHEN e.ts >= $start THEN e.basket END AS basket
    FROM driftline_events AS e
    LEFT JOIN driftline_assignment AS a ON a.item = e.item
    WHERE e.positive AND e.ts < $end AND (e.ts >= $start OR a.cluster IS NOT NULL)
) AS seen
GROUP BY "user", item, cluster, moment, basket"""
WINDOW = """
CREATE OR REPLACE TEMP VIEW driftline_events AS
SELECT "user", item, moment AS ts, true AS positive, basket FROM driftline_once WHERE moment IS NOT NULL"""
EARLIER = 'SELECT "user", cluster, ts FROM driftline_once WHERE moment IS NULL'

STEPS_IN_ORDER = 'SELECT s."user", s.cluster, s.ts FROM sequences AS s ORDER BY s."user", s.ts, s.tie'
SHOWN = """
SELECT e."user", a.cluster, MAX(e.ts) AS ts
FROM driftline_events AS e
INNER JOIN driftline_assignment AS a ON a.item = e.item
WHERE e.positive AND e.ts < $start
GROUP BY e."user", a.cluster
"""


@dataclass(frozen=True)
class HeldOut:
    """Both tables have user: string; cluster: int32; ts: timestamp[us] in UTC.

    Attributes:
        steps: every step of every sequence in the window, by user and place in the sequence.
        shown: each cluster that a user had shown before the window, once, with its last time; in no order.
    """

    steps: pa.Table
    shown: pa.Table


def read_held_out(source: Source, sequences: Sequences, window: Window, assignment: pa.Table, engine: str = "duckdb") -> HeldOut:
    """The sequences of `[window.start, window.end)`, and what was shown in all of the log before.

    `engine`: as `counting.engine`; all give the same. DuckDB scans the log once, another engine is asked twice.

    Raises:
        BadInput: `source` or `assignment` is not as it should be; the engine is not there.
    """
    with open_engine(engine, source, assignment, window) as (run_query, con):
        if con is not None:
            return _in_one_scan(con, sequences, window)
        steps = run_query(over_sequences(STEPS_IN_ORDER), parameters(sequences, window))
        return HeldOut(steps.cast(STEPS), run_query(SHOWN, {"start": utc(window.start)}).cast(STEPS))


def _in_one_scan(con: duckdb.DuckDBPyConnection, sequences: Sequences, window: Window) -> HeldOut:
    con.execute(ONCE, {"start": utc(window.start), "end": utc(window.end)})
    con.execute(WINDOW)
    steps = arrow(con, over_sequences(STEPS_IN_ORDER), parameters(sequences, window))
    return HeldOut(steps.cast(STEPS), arrow(con, EARLIER).cast(STEPS))
