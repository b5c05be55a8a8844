"""The top successors in one window, of all its users and of random halves of them; and the counts of sixteenths (paper §2.1).

`halves.sql` is the definition: it counts all samples in one pass. `packed.py` gives the same rows sooner. They stay in DuckDB,
which may spill them, and are ranked as they stream by.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial

import duckdb
import numpy as np
import pyarrow as pa

from driftline.contracts import BadInput, Sequences, Source, Window
from driftline.interests.metrics.drift import Sampled
from driftline.interests.metrics.moved import SIXTEENTHS, Crowds, compared
from driftline.interests.metrics.successors import fill, no_successors, slices
from driftline.interests.metrics.volume import add_unevenness, no_unevenness
from driftline.interests.pairs import Ints
from driftline.interests.triples import Triples, read
from driftline.sources.identity import Unclean
from driftline.sources.packed import count_sixteenths
from driftline.sources.sequences import REFERENCE, open_assigned, over_sequences, parameters
from driftline.sources.session import explained

BATCH = 1 << 16
MEMORY, MEMORY_PER_THREAD = 512, 128
"""MiB that DuckDB may hold at first, and per thread; what is beyond is spilled. Windows are listed side by side."""
QUARTERS = 4
HALVINGS = ((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))
"""The three ways to make two halves of four quarters."""

USERS = """
SELECT count(DISTINCT e."user")
FROM driftline_events AS e SEMI JOIN driftline_assignment AS a ON a.item = e.item
WHERE e.positive AND e.ts >= $start AND e.ts < $end
"""
TABLE = "CREATE TEMP TABLE driftline_halves (c1 INTEGER, c2 INTEGER, c_next INTEGER, sixteenth TINYINT, n INTEGER)"


def sampled_successors(
    source: Source,
    sequences: Sequences,
    window: Window,
    assignment: pa.Table,
    top_k: int,
    n_clusters: int,
    engine: str = "duckdb",
) -> Sampled:
    """The `top_k` successors of every ordered pair in `[window.start, window.end)`, of all users and of each half; and the
    counts of each sixteenth.

    A window without an event that counts is no error: a log may have a silent month. Its lists are empty and its figures 0.
    The same log gives the same arrays.

    Args:
        assignment: item: str, cluster: int32; a row per item.
        engine: `duckdb`, or REFERENCE for the SQL alone; both give the same.

    Raises:
        BadInput: `source` or `assignment` is not as it should be.
    """
    asked = source, sequences, window, assignment, top_k, n_clusters, engine
    try:
        return _sampled(*asked, plain=engine != REFERENCE)
    except Unclean:
        return _sampled(*asked, plain=False)


def _sampled(
    source: Source,
    sequences: Sequences,
    window: Window,
    assignment: pa.Table,
    top_k: int,
    n_clusters: int,
    engine: str,
    plain: bool,
) -> Sampled:
    """Lists the top successors of a window and of its halves. `plain`: as if ids needed no care. Raises Unclean where some do."""
    with open_assigned(source, assignment, window, plain) as con:
        with explained("source"):
            users = _count(con, source, sequences, window, engine, plain)
        total = _totals(con, n_clusters)
        # Not before: what DuckDB needed for counting is free again.
        whole = no_successors(n_clusters, top_k)
        halves = tuple((no_successors(n_clusters, top_k), no_successors(n_clusters, top_k)) for _ in HALVINGS)
        unevenness = no_unevenness()
        chosen, kept = compared(n_clusters), []
        rng = np.random.default_rng(0)
        # Tables are scanned in the order in which they were filled.
        reader = con.sql("FROM driftline_halves").to_arrow_reader(BATCH)
        for part in slices(iter(reader), reader.schema):
            rows, of_sixteenth = _sixteenths(part, n_clusters)
            n = _quarters(of_sixteenth)
            number = rows.pair(n_clusters)
            there = chosen[number]
            kept.append((number[there], rows.c_next[there], of_sixteenth[:, there]))
            fill(whole, rows, total.sum(axis=0), n_clusters)
            for found, quarters in zip(halves, HALVINGS, strict=True):
                a, b = (replace(rows, n=n[list(half)].sum(axis=0)) for half in quarters)
                total_a, total_b = (total[list(half)].sum(axis=0) for half in quarters)
                fill(found[0], a, total_a, n_clusters)
                fill(found[1], b, total_b, n_clusters)
                add_unevenness(unevenness, a, b, (total_a, total_b), top_k, n_clusters, rng)
    pair, c_next, of_each = (np.concatenate(parts, axis=-1).astype(np.int32) for parts in zip(*kept, strict=True))
    crowds = Crowds(pair, c_next, of_each, popularity=total.sum(axis=0))
    return Sampled(window.start, window.end, users, int(total.sum()), whole, halves, unevenness, crowds)


def _count(con: duckdb.DuckDBPyConnection, source: Source, sequences: Sequences, window: Window, engine: str, plain: bool) -> int:
    """Fills `driftline_halves` and returns the number of users. `MEMORY` may rise, for not everything can be spilled."""
    ((threads,),) = con.execute("SELECT current_setting('threads')").fetchall()
    least = max(MEMORY, MEMORY_PER_THREAD * threads)
    for limit in (f"'{least}MiB'", f"'{4 * least}MiB'", None):
        con.execute(f"SET memory_limit = {limit}" if limit else "RESET memory_limit")
        con.begin()  # both scans of a live database see the same rows
        try:
            con.execute(TABLE)
            users = count_sixteenths(con, source, sequences, window, partial(_add, con), plain) if engine != REFERENCE else None
            if users is None:
                if plain:
                    raise Unclean
                asked = parameters(sequences, window)
                ((users,),) = con.execute(USERS, {name: asked[name] for name in ("start", "end")}).fetchall()
                con.execute(f"INSERT INTO driftline_halves\n{over_sequences('halves')}", asked)
            con.commit()
            with suppress(duckdb.OutOfMemoryException):  # the rankings need room, too
                con.execute(f"SET memory_limit = '{max(least // 2, 1)}MiB'")
            return int(users)
        except duckdb.OutOfMemoryException:
            con.rollback()
            if not limit:
                raise
    raise AssertionError("the last attempt returns or raises")


def _add(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    con.register("driftline_part", rows)
    con.execute("INSERT INTO driftline_halves SELECT c1, c2, c_next, sixteenth, n FROM driftline_part")
    con.unregister("driftline_part")


def _quarters(of_sixteenth: Ints) -> Ints:
    """n of each quarter, [4, …], from that of each sixteenth."""
    quarters: Ints = of_sixteenth.reshape(QUARTERS, SIXTEENTHS // QUARTERS, -1).sum(axis=1)
    return quarters


def _sixteenths(part: pa.Table, n_clusters: int) -> tuple[Triples, Ints]:
    """Each triple once, with n of all users, and n of each sixteenth: int64 [sixteenths, triples]."""
    rows = read(part, n_clusters)
    same = (rows.c1[1:] == rows.c1[:-1]) & (rows.c2[1:] == rows.c2[:-1]) & (rows.c_next[1:] == rows.c_next[:-1])
    first = np.flatnonzero(np.concatenate([np.ones(min(len(rows.c1), 1), dtype=bool), ~same]))
    n = np.zeros((SIXTEENTHS, len(first)), dtype=np.int64)
    n[part["sixteenth"].to_numpy(), np.repeat(np.arange(len(first)), np.diff([*first, len(rows.c1)]))] = rows.n
    return Triples(rows.c1[first], rows.c2[first], rows.c_next[first], n.sum(axis=0)), n


def _totals(con: duckdb.DuckDBPyConnection, n_clusters: int) -> Ints:
    """n(·, ·, c) of each quarter: int64 [quarters, clusters]."""
    query = "SELECT sixteenth // 4, c_next, CAST(sum(n) AS BIGINT) FROM driftline_halves GROUP BY 1, 2"
    total = np.zeros((QUARTERS, n_clusters), dtype=np.int64)
    for quarter, c_next, n in con.execute(query).fetchall():
        if not 0 <= c_next < n_clusters:
            raise BadInput(f"the assignment names cluster {c_next}, which is not in a set of {n_clusters}")
        total[quarter, c_next] = n
    return total
