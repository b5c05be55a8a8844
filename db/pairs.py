"""One ordered pair through all versions, and how often each pair occurs in a window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from driftline.db.connection import cursor
from driftline.db.retention import require_rows

if TYPE_CHECKING:
    from driftline.contracts import AnswersFrom, Kind


@dataclass(frozen=True)
class PairAnswer:
    """What one table answers to a pair. `decoding`: "exact" | "constrained", of the LLM's answer."""

    version: int
    kind: Kind
    nominal: datetime
    c_next: int
    decoding: str | None
    """None: no LLM was asked."""
    free: str | None
    approved: bool
    channels: list[str]
    answers: AnswersFrom
    score: float | None
    """log p of the answer, under what the table is made of; None: not on record."""


@dataclass(frozen=True)
class Successor:
    """A cluster that came next, and how often in the window."""

    c_next: int
    n: int


def answers_of(conn: Connection, cluster_set: int, c1: int, c2: int, limit: int) -> list[PairAnswer]:
    """What the newest tables of a cluster set answer to a pair, and those that a channel serves; newest first."""
    query = """
        WITH newest AS (
            SELECT version, kind, nominal, answers FROM transition_table WHERE cluster_set = :cluster_set
            ORDER BY version IN (SELECT table_version FROM channel) DESC, version DESC LIMIT :limit
        )
        SELECT n.version, n.kind, n.nominal, t.c_next, t.decoding, t.free, table_approved(n.version) AS approved,
            ARRAY(SELECT name FROM channel WHERE table_version = n.version ORDER BY name) AS channels, n.answers, t.score
        FROM newest n JOIN transition t ON t.version = n.version AND t.c1 = :c1 AND t.c2 = :c2
        ORDER BY n.version DESC
    """
    parameters = {"cluster_set": cluster_set, "c1": c1, "c2": c2, "limit": limit}
    return [PairAnswer(**row) for row in conn.execute(text(query), parameters).mappings()]


def successors(conn: Connection, counts: int, c1: int, c2: int, limit: int) -> tuple[int, list[Successor]]:
    """How often a pair occurred in the window of a counts version, and what came next most often."""
    query = """
        SELECT c_next, n, (sum(n) OVER ())::bigint AS total FROM transition_count
        WHERE version = :counts AND c1 = :c1 AND c2 = :c2 ORDER BY n DESC, c_next LIMIT :limit
    """
    rows = conn.execute(text(query), {"counts": counts, "c1": c1, "c2": c2, "limit": limit}).all()
    return (rows[0].total if rows else 0), [Successor(row.c_next, row.n) for row in rows]


def next_of(conn: Connection, version: int) -> NDArray[np.int32]:
    """The answer of a complete table to every pair, in order of (c1, c2).

    Raises:
        BadInput: its rows were pruned.
    """
    require_rows(conn, "table", version)
    query = "SELECT string_agg(int4send(c_next), ''::bytea ORDER BY c1, c2) FROM transition WHERE version = %s"
    (answers,) = _packed(conn, query, version)
    return np.frombuffer(answers, ">i4").astype(np.int32)


def traffic(conn: Connection, counts: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """c1, c2 and how often each pair occurred in the window of a counts version; those that did, in no order.

    Raises:
        BadInput: its rows were pruned.
    """
    require_rows(conn, "counts", counts)
    kept = _packed(conn, "SELECT c1, c2, n FROM pair_traffic WHERE version = %s", counts)
    c1, c2, n = kept or _packed(conn, SUMMED, counts)
    ids = [np.frombuffer(column, ">i4").astype(np.int32) for column in (c1, c2)]
    return ids[0], ids[1], np.frombuffer(n, ">i8").astype(np.int64)


SUMMED = """
    SELECT string_agg(int4send(c1), ''::bytea), string_agg(int4send(c2), ''::bytea), string_agg(int8send(n), ''::bytea)
    FROM (SELECT c1, c2, sum(n)::int8 AS n FROM transition_count WHERE version = %s GROUP BY c1, c2) seen
"""
"""Of versions that were counted before sums were kept."""


def _packed(conn: Connection, query: str, version: int) -> list[bytes]:
    """The one row that a query finds, its columns of numbers as one value each, which costs a fraction of rows."""
    with cursor(conn) as cur:
        rows = cur.execute(query.encode(), [version], binary=True).fetchall()
    return [column or b"" for row in rows for column in row]
