"""Counts versions: how often each triple occurred in a window."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Row, insert, select

from driftline.contracts import BadInput, CountsRef, Window
from driftline.db.keys import content_key, lock
from driftline.db.load import add_partition, copy_integers, read_integers
from driftline.db.retention import has_rows, note_asked_again, require_rows
from driftline.db.schema import counts as records
from driftline.db.schema import pair_traffic

COUNTS = pa.schema([("c1", pa.int32()), ("c2", pa.int32()), ("c_next", pa.int32()), ("n", pa.int64())])


@dataclass(frozen=True)
class Counts:
    """The record of a counts version, without its rows."""

    version: int
    cluster_set: int
    window: Window
    dedup: str
    predicate: str
    events: int
    users: int
    triples: int
    distinct_triples: int
    dropped: dict[str, int]
    created_at: datetime
    assignment: int | None = None
    """Which items the clusters had; None: those of the set itself."""

    @property
    def unknown_share(self) -> float | None:
        """Share of positive events whose item no cluster has; None where there is no positive event."""
        unknown = self.dropped.get("events_of_unknown_items", 0)
        return unknown / (unknown + self.events) if unknown + self.events else None


def add(
    conn: Connection,
    *,
    cluster_set: int,
    window: Window,
    dedup: str,
    predicate: str,
    counts: pa.Table,
    events: int,
    users: int,
    dropped: dict[str, int],
    assignment: int | None = None,
) -> CountsRef:
    """Store counts, or find the version with the same cluster set and assignment, window, rules and rows.

    Args:
        counts: c1, c2, c_next int32 and n int64; every triple once.
        events, users: how many the window holds.
        dropped: what was left out, by reason.
        assignment: which items the clusters had; None: those of the set itself.
    """
    counts = counts.select(COUNTS.names).cast(COUNTS).sort_by([(name, "ascending") for name in COUNTS.names[:3]])
    newer = () if assignment is None else (assignment,)  # keys of before there were assignments stay as they are
    key = content_key(cluster_set, window.start, window.end, dedup, predicate, counts, *newer)
    lock(conn, f"counts:{key}")
    found = conn.execute(select(records).where(records.c.key == key)).one_or_none()
    if found is not None:
        note_asked_again(conn, "counts", found.version)
        if not has_rows(conn, "counts", found.version):
            _fill(conn, found.version, counts)
            conn.execute(insert(pair_traffic).values(version=found.version, **_by_pair(counts)))
        return _ref(found)
    row = {
        "key": key,
        "cluster_set": cluster_set,
        "window_start": window.start,
        "window_end": window.end,
        "dedup": dedup,
        "predicate": predicate,
        "events": events,
        "users": users,
        "triples": pc.sum(counts["n"]).as_py() or 0,
        "distinct_triples": counts.num_rows,
        "dropped": dropped,
        "assignment": assignment,
    }
    added = conn.execute(insert(records).values(row).returning(records)).one()
    _fill(conn, added.version, counts)
    conn.execute(insert(pair_traffic).values(version=added.version, **_by_pair(counts)))
    return _ref(added)


def get(conn: Connection, version: int) -> CountsRef:
    """Reads the reference of one version. Raises BadInput: there is no such version."""
    return _ref(_one(conn, version))


def describe(conn: Connection, version: int) -> Counts:
    """Reads the record of one version, without its rows. Raises BadInput: there is no such version."""
    row = _one(conn, version)
    return Counts(
        version=row.version,
        cluster_set=row.cluster_set,
        window=Window(row.window_start, row.window_end),
        dedup=row.dedup,
        predicate=row.predicate,
        events=row.events,
        users=row.users,
        triples=row.triples,
        distinct_triples=row.distinct_triples,
        dropped=row.dropped,
        created_at=row.created_at,
        assignment=row.assignment,
    )


def unknown_share(conn: Connection, *versions: int) -> float | None:
    """The largest share, of several windows, of positive events whose item no cluster has; None where none has an event.

    Raises:
        BadInput: there is no such version.
    """
    shares = [describe(conn, version).unknown_share for version in versions]
    return max((share for share in shares if share is not None), default=None)


def read(conn: Connection, version: int) -> pa.Table:
    """The rows of a version: c1, c2, c_next int32, n int64; sorted.

    Raises:
        BadInput: there is no such version, or its rows were pruned.
    """
    _one(conn, version)
    require_rows(conn, "counts", version)
    query = "SELECT c1, c2, c_next, n FROM transition_count WHERE version = %s ORDER BY c1, c2, c_next"
    return read_integers(conn, query, [version], COUNTS)


def since(conn: Connection, moment: datetime) -> list[Counts]:
    """The records of versions counted since then, oldest first."""
    query = select(records.c.version).where(records.c.created_at >= moment).order_by(records.c.version)
    return [describe(conn, version) for version in conn.execute(query).scalars()]


def _by_pair(counts: pa.Table) -> dict[str, bytes]:
    """The columns of `pair_traffic`. Rows have to be sorted."""
    c1, c2, n = (counts[name].to_numpy() for name in ("c1", "c2", "n"))
    first = np.flatnonzero(np.append(True, (np.diff(c1) != 0) | (np.diff(c2) != 0))[: len(c1)])
    summed = np.add.reduceat(n, first) if len(first) else n
    return {"c1": c1[first].astype(">i4").tobytes(), "c2": c2[first].astype(">i4").tobytes(), "n": summed.astype(">i8").tobytes()}


def _fill(conn: Connection, version: int, counts: pa.Table) -> None:
    rows = counts.add_column(0, "version", pa.array([version] * counts.num_rows, pa.int64()))
    fill = lambda table: copy_integers(conn, table, rows)  # noqa: E731
    add_partition(conn, "transition_count", version, "version, c1, c2, c_next", fill)


def _one(conn: Connection, version: int) -> Row[Any]:
    row = conn.execute(select(records).where(records.c.version == version)).one_or_none()
    if row is None:
        raise BadInput(f"no counts version {version}")
    return row


def _ref(row: Row[Any]) -> CountsRef:
    return CountsRef(
        row.version, Window(row.window_start, row.window_end), row.events, row.users, row.triples, row.distinct_triples
    )
