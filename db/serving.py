"""What serving reads of Postgres: where each channel points, a table with what to back off to, and the items of its set."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy
from psycopg import Connection as Connection

from driftline.db.known_items import KNOWN_ITEMS
from driftline.db.lookup import read_answers
from driftline.interests.back_off import RankedSuccessors, rank
from driftline.interests.hashes import Hashes
from driftline.interests.pairs import Ids, Ints, id_type

POINTERS = """
    SELECT c.name AS channel, t.version, t.kind, t.nominal, p.at AS published, c.publication, k.dedup,
        t.counts_version AS counts, t.cluster_set, k.assignment, s.clusters, table_approved(t.version) AS approved,
        concat_ws('-', left(t.key, 24), left(t.mapping_hash, 24), left(k.key, 24)) AS key,
        concat_ws('-', left(s.key, 32), left(a.key, 32)) AS items_key,
        r.version AS recommender, r.uri AS recommender_uri, r.hash AS recommender_hash
    FROM channel c
    JOIN publication p ON p.id = c.publication
    JOIN transition_table t ON t.version = c.table_version
    JOIN counts k ON k.version = t.counts_version
    JOIN cluster_set s ON s.version = t.cluster_set
    LEFT JOIN assignment a ON a.version = k.assignment
    LEFT JOIN LATERAL (
        SELECT version, uri, hash FROM recommender WHERE cluster_set = t.cluster_set
        ORDER BY window_end DESC, version DESC LIMIT 1
    ) r ON true
    ORDER BY c.name
"""
# Not summed: a log of years has millions of triples, and Postgres takes ten times as long to sum as to pack them.
TRIPLES = """
    SELECT string_agg(int8send(c2::int8 << 32 | c_next) || int8send(n), '') FROM transition_count WHERE version = %s GROUP BY c1
"""
PACKED = np.dtype([("c2", ">i4"), ("c_next", ">i4"), ("n", ">i8")])
IN_MEMORY = "SET LOCAL work_mem = '128MB'"  # by default a log's triples are packed on disk, for twice the time
# The first eight bytes of an item's SHA-256, as `interests.hashes` has them.
ITEMS = f"""
    SELECT cluster, string_agg(substr(sha256(convert_to(item, 'UTF8')), 1, 8), '')
    FROM ({KNOWN_ITEMS}) AS known GROUP BY cluster
"""
NAMES = "SELECT name, traffic FROM cluster WHERE cluster_set = %s ORDER BY cluster"


@dataclass(frozen=True)
class Pointer:
    """What a channel points at. The keys name contents: a version is a number of one database only."""

    channel: str
    version: int
    kind: str
    nominal: datetime
    published: datetime
    """When the channel was moved there."""
    publication: int
    dedup: str
    """How the table's sequences were made."""
    counts: int
    cluster_set: int
    assignment: int | None
    """Items that were added to the set belong to it up to this version; None: its own only."""
    clusters: int
    approved: bool
    """Whether the table may still be served: a person may have taken that back since."""
    key: str
    """Of table, mapping and counts."""
    items_key: str
    """Of cluster set and assignment."""
    recommender: int | None = None
    """The newest of the table's cluster set, where its files are and their hash."""
    recommender_uri: str | None = None
    recommender_hash: str | None = None


@dataclass(frozen=True)
class LoadedTable:
    """A table as it is served; all of it follows from its key."""

    answers: Ids
    """By number of the pair."""
    ranking: RankedSuccessors
    """Of the counts that the table was made from."""


@dataclass(frozen=True)
class LoadedInterests:
    """A cluster set as it is served; all of it follows from its key."""

    names: tuple[str, ...]
    hashes: Hashes
    """Of the items, ascending; see `interests.hashes.hashed`."""
    clusters: Ids
    """Of the same items."""


def raw(conn: sqlalchemy.Connection) -> Connection:
    """The same connection as `pointers` and `read_table` take it."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, Connection)
    return driver


def pointers(conn: Connection) -> list[Pointer]:
    """Every channel that something is published on."""
    cursor = conn.execute(POINTERS)
    names = [column.name for column in cursor.description or ()]
    return [Pointer(**dict(zip(names, row, strict=True))) for row in cursor]


def read_table(conn: Connection, pointer: Pointer) -> LoadedTable:
    """Reads the answers of a pointer's table and the ranking behind them. Raises RuntimeError: the table is not complete."""
    answers = read_answers(conn, pointer.version, pointer.clusters)
    traffic = np.array([traffic for _, traffic in conn.execute(NAMES, [pointer.cluster_set])], np.int64)
    return LoadedTable(answers, rank(_followed(conn, pointer), traffic))


def _followed(conn: Connection, pointer: Pointer) -> Ints:
    """Counts how often each interest followed upon each, whatever was before: [|C|, |C|]."""
    followed = np.zeros(pointer.clusters**2, np.int64)
    with conn.transaction(), conn.cursor() as cur:
        cur.execute(IN_MEMORY)
        for (block,) in cur.stream(TRIPLES, [pointer.counts], binary=True):
            rows = np.frombuffer(block, PACKED)
            np.add.at(followed, rows["c2"].astype(np.int64) * pointer.clusters + rows["c_next"], rows["n"].astype(np.int64))
    return followed.reshape(pointer.clusters, pointer.clusters)


def read_interests(conn: Connection, pointer: Pointer) -> LoadedInterests:
    """Names and items of the table's cluster set, with what the counts' assignment added.

    Two items of one hash in two clusters are both left out: never a wrong one.
    """
    names = tuple(name for name, _ in conn.execute(NAMES, [pointer.cluster_set]))
    of = {"cluster_set": pointer.cluster_set, "assignment": pointer.assignment or 0}
    blocks = list(conn.execute(ITEMS, of, binary=True))
    hashes = np.concatenate([np.empty(0, ">u8"), *(np.frombuffer(block, ">u8") for _, block in blocks)]).astype(np.uint64)
    clusters = np.repeat(np.array([c for c, _ in blocks], id_type(len(names))), [len(block) // 8 for _, block in blocks])
    order = np.argsort(hashes, kind="stable")
    hashes, clusters = hashes[order], clusters[order]
    clash = np.flatnonzero((hashes[1:] == hashes[:-1]) & (clusters[1:] != clusters[:-1]))
    kept = ~np.isin(hashes, hashes[clash])
    return LoadedInterests(names, hashes[kept], clusters[kept])
