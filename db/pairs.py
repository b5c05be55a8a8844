"""One ordered pair through all versions, and how often each pair occurs in a window."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection, text

from driftline.contracts import Kind
from driftline.db.load import read_integers

TRAFFIC = pa.schema([("c1", pa.int32()), ("c2", pa.int32()), ("n", pa.int64())])


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


@dataclass(frozen=True)
class Successor:
    """A cluster that came next, and how often in the window."""

    c_next: int
    n: int


def answers_of(conn: Connection, cluster_set: int, c1: int, c2: int, limit: int) -> list[PairAnswer]:
    """What the newest tables of a cluster set answer to a pair, and those that a channel serves; newest first."""
    query = """
        WITH newest AS (
            SELECT version, kind, nominal FROM transition_table WHERE cluster_set = :cluster_set
            ORDER BY version IN (SELECT table_version FROM channel) DESC, version DESC LIMIT :limit
        )
        SELECT n.version, n.kind, n.nominal, t.c_next, t.decoding, t.free, table_approved(n.version) AS approved,
            ARRAY(SELECT name FROM channel WHERE table_version = n.version ORDER BY name) AS channels
        FROM newest n JOIN transition t ON t.version = n.version AND t.c1 = :c1 AND t.c2 = :c2
        ORDER BY n.version DESC
    """
    asked = {"cluster_set": cluster_set, "c1": c1, "c2": c2, "limit": limit}
    return [PairAnswer(**row) for row in conn.execute(text(query), asked).mappings()]


def successors(conn: Connection, counts: int, c1: int, c2: int, limit: int) -> tuple[int, list[Successor]]:
    """How often a pair occurred in the window of a counts version, and what came next most often."""
    query = """
        SELECT c_next, n, (sum(n) OVER ())::bigint AS total FROM transition_count
        WHERE version = :counts AND c1 = :c1 AND c2 = :c2 ORDER BY n DESC, c_next LIMIT :limit
    """
    rows = conn.execute(text(query), {"counts": counts, "c1": c1, "c2": c2, "limit": limit}).all()
    return (rows[0].total if rows else 0), [Successor(row.c_next, row.n) for row in rows]


def traffic(conn: Connection, counts: int) -> pa.Table:
    """c1, c2 int32, n int64: how often each pair occurred in the window of a counts version; those that did, in no order."""
    query = "SELECT c1, c2, sum(n)::int8 FROM transition_count WHERE version = %s GROUP BY c1, c2"
    return read_integers(conn, query, [counts], TRAFFIC)
