"""Counts by sorting: DuckDB reads, filters and maps the log; an event leaves it as two integers, and NumPy does the rest.

`triples.sql` is the definition, and this gives its rows. One scan streams the window into a file by user; then the users are
counted part by part, so that memory holds a part and the result. Another scan lists the users: to prove that no two share a hash,
and for the md5 of ties, which only clusters that really tie need. Files take 16 bytes an event and 8 a triple.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import Sequences, Source, Window
from driftline.sources.counting_kernel import Hashes, Ints, count, run_lengths
from driftline.sources.identity import Unclean, needs_care
from driftline.sources.log import ID_FAULTS, IMPOSSIBLE, utc
from driftline.sources.session import arrow
from driftline.sources.shuffle import KEY_BITS, Shuffle, shuffle

HASH = 'hash({}."user")'
BATCH = 1 << 20
PART = 1 << 18
"""Rows that are worked on at once, unless the log has thousands of times more. Two megabytes a column: a core's cache."""
LONGEST = 63
"""Bits of a visit, and of a triple."""

CHANGED = "the log changed while it was read: it has users that were not there before"

LEFT_OUT = ("events_not_positive", "events_of_unknown_items", *ID_FAULTS, IMPOSSIBLE)
"""Events that do not count have a visit of -1, -2, …"""

# Clusters by number, in their order: ids may be far apart.
CLUSTERS = """
CREATE TEMP TABLE driftline_clusters AS
SELECT cluster, row_number() OVER (ORDER BY cluster) - 1 AS number FROM (SELECT DISTINCT cluster FROM driftline_assignment)"""

EVENTS = """
SELECT
    {hash} AS "user",
    CASE
        WHEN l.fault IS NOT NULL THEN -list_position({left_out}, l.fault)
        WHEN NOT l.positive THEN -1
        WHEN c.number IS NULL THEN -2
        ELSE (epoch_us({time}) - epoch_us($start)) * {width} + c.number
    END AS visit,
    CASE WHEN c.number IS NULL THEN l.item END AS unknown
FROM driftline_log AS l
LEFT JOIN (
    SELECT a.item, k.number FROM driftline_assignment AS a INNER JOIN driftline_clusters AS k ON k.cluster = a.cluster
) AS c ON c.item = l.item
{baskets}
WHERE l.ts >= $start AND l.ts < $end"""

BASKETS = """
LEFT JOIN (
    SELECT p."user", p.basket, MIN(p.ts) AS ts
    FROM driftline_events AS p
    WHERE p.basket IS NOT NULL AND p.positive AND p.ts >= $start AND p.ts < $end
    GROUP BY p."user", p.basket
) AS b ON b."user" = l."user" AND b.basket = l.basket"""

# In order, so that the users of a part lie together.
USERS = """
CREATE TEMP TABLE driftline_users AS
SELECT u."user", {hash} AS hash
FROM (SELECT DISTINCT l."user" FROM driftline_log AS l WHERE l.fault IS NULL AND l.ts >= $start AND l.ts < $end) AS u
ORDER BY hash"""

TIES = """
SELECT t.place, unhex(md5(concat(u."user", ' ', t.time, ' ', t.cluster))) AS tie
FROM driftline_ties AS t
INNER JOIN driftline_users AS u ON u.hash = t."user"
WHERE u.hash BETWEEN $low AND $high"""


# As in `halves.sql`.
SIXTEENTHS = """
SELECT u.hash, CAST(instr('0123456789abcdef', substring(md5(concat('half of ', u."user")), 1, 1)) - 1 AS TINYINT) AS sixteenth
FROM driftline_users AS u
WHERE u.hash BETWEEN $low AND $high
ORDER BY u.hash"""
SIXTEENTH_BITS = 4


@dataclass(frozen=True)
class Packing:
    """How the visits of one window are made: microseconds since `start` above `bits` bits of the cluster's number."""

    clusters: Ints
    """Ids by number."""
    bits: int
    start: int
    """Microseconds since 1970."""
    sixteenths: bool
    """Whether triples are counted by sixteenth: SIXTEENTH_BITS below those of its clusters."""


def count_packed(
    con: duckdb.DuckDBPyConnection, source: Source, sequences: Sequences, window: Window, plain: bool = False
) -> tuple[pa.Table, dict[str, int]] | None:
    """The rows of `triples.sql` and the figures of `figures.sql`. `con`: from `open_assigned`, inside a transaction.

    Returns:
        None where time and cluster do not fit one integer, or two users share a hash: the SQL has to count.

    Raises:
        Unclean: `con` has a log that was opened as `plain`, and has ids that are not.
    """
    packing = _packing(con, window, False, plain)
    if packing is None:
        return None
    with shuffle(1) as codes:
        figures = _fill(codes, con, source, sequences, window, packing, plain)
        parts = [_rows(part, packing) for (part,) in codes.parts(PART)]
    return pa.concat_tables([_rows(np.empty(0, dtype=np.int64), packing), *parts]), figures


def count_sixteenths(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    sequences: Sequences,
    window: Window,
    add: Callable[[pa.Table], object],
    plain: bool = False,
) -> int | None:
    """The rows of `halves.sql`: `add` is given them in order, part by part.

    Returns:
        The number of users, or None where the SQL has to count, as for `count_packed`.
    """
    packing = _packing(con, window, True, plain)
    if packing is None:
        return None
    with shuffle(1) as codes:
        figures = _fill(codes, con, source, sequences, window, packing, plain)
        for (part,) in codes.parts(PART):
            add(_rows(part, packing))
    return figures["users"]


def _fill(
    codes: Shuffle,
    con: duckdb.DuckDBPyConnection,
    source: Source,
    sequences: Sequences,
    window: Window,
    packing: Packing,
    plain: bool,
) -> dict[str, int]:
    """Adds the code of every triple that occurred. Returns the figures of `figures.sql`."""
    asked = {"start": utc(window.start), "end": utc(window.end)}
    query = EVENTS.format(
        hash=HASH.format("l"),
        time="COALESCE(b.ts, l.ts)" if source.basket else "l.ts",
        width=1 << packing.bits,
        baskets=BASKETS if source.basket else "",
        left_out=list(LEFT_OUT),
    )
    figures = {"rows": 0, "events": 0, "users": 0, "sequences": 0}
    digests = partial(_digests, con, packing)
    with shuffle(2) as events:
        figures |= _read(con, query, asked, events, plain)
        for part in events.parts(PART << 2 if packing.sixteenths else PART):
            for sixteenth, user, visit in _samples(con, part, packing):
                counted = count(user, visit, packing.bits, sequences.dedup == "first", digests)
                figures["users"] += counted.users
                figures["sequences"] += counted.sequences
                # By the highest bits of c1.
                key = counted.codes >> 2 * packing.bits >> max(packing.bits - KEY_BITS, 0)
                codes.add(key, counted.codes << SIXTEENTH_BITS | sixteenth if packing.sixteenths else counted.codes)
    return figures


def _samples(con: duckdb.DuckDBPyConnection, part: Ints, packing: Packing) -> Iterator[tuple[int, Hashes, Ints]]:
    """The events of each sample of the users that is counted apart: its number, users and visits."""
    user, visit = part[0].view(np.uint64), part[1]
    if not packing.sixteenths:
        yield 0, user, visit
        return
    dealt = arrow(con, SIXTEENTHS, {"low": int(user.min()), "high": int(user.max())})
    place = np.searchsorted(dealt["hash"].to_numpy(), user)
    if (dealt["hash"].to_numpy().take(place, mode="clip") != user).any():
        raise OSError(CHANGED)
    sixteenth = dealt["sixteenth"].to_numpy()[place]
    for number in range(1 << SIXTEENTH_BITS):
        if (own := sixteenth == number).any():
            yield number, user[own], visit[own]


def _packing(con: duckdb.DuckDBPyConnection, window: Window, sixteenths: bool, plain: bool) -> Packing | None:
    """Numbers the clusters, lists the users, and finds out whether all of it fits."""
    con.execute(CLUSTERS)
    ids = [cluster for (cluster,) in con.execute("SELECT cluster FROM driftline_clusters ORDER BY number").fetchall()]
    bits = max(len(ids) - 1, 1).bit_length()
    span = (utc(window.end) - utc(window.start)) // timedelta(microseconds=1)
    if None in ids or 3 * bits + sixteenths * SIXTEENTH_BITS > LONGEST or span.bit_length() + bits > LONGEST:
        return None
    con.execute(USERS.format(hash=HASH.format("u")), {"start": utc(window.start), "end": utc(window.end)})
    if plain:
        _check(con, con.sql('SELECT "user" AS id FROM driftline_users').to_arrow_table(), missing=True)
    if con.execute("SELECT count(*) - count(DISTINCT hash) FROM driftline_users").fetchall() != [(0,)]:
        return None
    start = (utc(window.start) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    return Packing(np.array(ids, dtype=np.int64), bits, start, sixteenths)


def _read(
    con: duckdb.DuckDBPyConnection, query: str, asked: Mapping[str, object], events: Shuffle, plain: bool
) -> dict[str, int]:
    """Adds all events that count, by user. Returns the figures that need no user."""
    left_out = np.zeros(len(LEFT_OUT), dtype=np.int64)
    unknown: set[str] = set()
    n = 0
    others: set[str] = set()
    for batch in _batches(con, query, asked):
        user, visit = batch["user"].to_numpy(), batch["visit"].to_numpy()
        left_out += np.bincount(-1 - visit[visit < 0], minlength=len(LEFT_OUT))
        counted = pc.equal(batch["visit"], -1 - LEFT_OUT.index("events_of_unknown_items"))
        unknown.update(pc.unique(batch["unknown"].filter(counted)).to_pylist())
        others.update(pc.unique(pc.drop_null(batch["unknown"])).to_pylist())
        counts = visit >= 0
        user, visit = user[counts], visit[counts]
        # By the highest bits of the hash.
        events.add(user >> np.uint64(64 - KEY_BITS), user, visit)
        n += len(user)
    if plain:
        _check(con, pa.table({"id": pa.array(others, pa.string())}), missing=False)
    figures = dict(zip(LEFT_OUT, left_out.tolist(), strict=True))
    return {"rows": n + sum(figures.values()), "events": n, "unknown_items": len(unknown)} | figures


def _check(con: duckdb.DuckDBPyConnection, ids: pa.Table, missing: bool) -> None:
    """Distinct ids are few, so that all of them can be looked at. Raises Unclean."""
    con.register("driftline_ids", ids)
    found = con.execute(f"SELECT id FROM driftline_ids WHERE {needs_care('id', missing)} LIMIT 1").fetchall()
    con.unregister("driftline_ids")
    if found:
        raise Unclean(found[0][0])


def _batches(con: duckdb.DuckDBPyConnection, query: str, asked: Mapping[str, object]) -> Iterator[pa.RecordBatch]:
    try:
        yield from con.sql(query, params=asked).to_arrow_reader(BATCH)
    except OSError:
        # What goes wrong under way reaches Arrow without its type. DuckDB itself raises the same as what it is.
        con.execute(f"SELECT max(visit) FROM ({query})", asked).fetchall()
        raise


def _digests(con: duckdb.DuckDBPyConnection, packing: Packing, user: Hashes, visit: Ints) -> tuple[Hashes, Hashes]:
    """The hash by which `sequences.sql` orders ties, as two big-endian halves: they sort as its hex digits do."""
    ties = {
        "place": np.arange(len(user)),
        "user": user,
        "time": (visit >> packing.bits) + packing.start,
        "cluster": packing.clusters[visit & (1 << packing.bits) - 1],
    }
    con.register("driftline_ties", pa.table(ties))
    found = arrow(con, TIES, {"low": int(user.min()), "high": int(user.max())})
    con.unregister("driftline_ties")
    if found.num_rows < len(user):
        raise OSError(CHANGED)
    halves = np.empty((len(user), 2), dtype=np.uint64)
    digests = found["tie"].combine_chunks().cast(pa.binary(16))
    halves[found["place"].to_numpy()] = np.frombuffer(digests.buffers()[1], dtype=">u8").reshape(-1, 2)
    return halves[:, 0], halves[:, 1]


def _rows(codes: Ints, packing: Packing) -> pa.Table:
    """c1, c2, c_next, n of some triples, in order, and the sixteenth where they are counted by it. Changes `codes`."""
    codes, n = run_lengths(codes)
    sixteenth = {"sixteenth": codes & (1 << SIXTEENTH_BITS) - 1} if packing.sixteenths else {}
    codes = codes >> SIXTEENTH_BITS if packing.sixteenths else codes
    lowest = (1 << packing.bits) - 1
    ids = packing.clusters.astype(np.int32)
    numbers = (codes >> 2 * packing.bits, codes >> packing.bits & lowest, codes & lowest)
    return pa.table(dict(zip(("c1", "c2", "c_next"), (ids[number] for number in numbers), strict=True)) | sixteenth | {"n": n})
