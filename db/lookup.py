"""Answers in the memory of the serving process, which follow their channel: for requests that cannot wait for SQL."""

from datetime import datetime
from functools import partial
from operator import index
from typing import NamedTuple, Self

import numpy as np
import psycopg
from numpy.typing import ArrayLike

from driftline.db.follow import Follower, listen
from driftline.interests.pairs import Ids, id_type, pair_count, pair_number

CURRENT = """
    SELECT t.version, s.clusters FROM channel c
    JOIN transition_table t ON t.version = c.table_version JOIN cluster_set s ON s.version = t.cluster_set WHERE c.name = %s
"""
# A row per c1: with a row per pair the client would work longer than this whole query takes.
ANSWERS = "SELECT string_agg(int4send(c_next), '' ORDER BY c2) FROM transition WHERE version = %s GROUP BY c1 ORDER BY c1"


class _Table(NamedTuple):
    version: int
    clusters: int
    answers: Ids  # by number of the pair (see interests.pairs)


class Snapshot:
    """A channel's table in memory, 2 bytes per pair; a thread replaces it as a whole when the channel moves.

    Each call answers from one version and never waits, whatever happens to Postgres. The thread hears of a move by LISTEN,
    and asks every `poll_seconds` in case that is lost: a connection pooler may let none through. Make it in the process that
    serves (threads do not survive a fork), and close it or use it in `with`.
    """

    def __init__(self, url: str, channel: str = "default", *, poll_seconds: float = 3.0) -> None:
        """Loads the channel's table, then returns.

        Raises:
            ValueError: the URL is not Postgres, nothing is published on the channel, or `poll_seconds` is not positive.
            psycopg.OperationalError: Postgres does not answer.
        """
        if poll_seconds <= 0:
            raise ValueError(f"poll_seconds is {poll_seconds}: set it to a positive number")
        self._channel = channel
        open_ = partial(listen, url, "driftline snapshot")
        conn = open_()
        try:
            self._table = self._current(conn, None)
        except BaseException:
            conn.close()
            raise
        self._follower = Follower(f"channel {channel}", open_, self._refresh, poll_seconds=poll_seconds, conn=conn)

    def __call__(self, c1: int, c2: int) -> int:
        """The novel cluster to explore after c1 and then c2. Raises ValueError: these are not two different cluster ids."""
        table, c1, c2 = self._table, index(c1), index(c2)
        if c1 == c2 or not (0 <= c1 < table.clusters and 0 <= c2 < table.clusters):
            raise _no_pair(c1, c2, table)
        return int(table.answers[pair_number(c1, c2, table.clusters)])

    def many(self, c1: ArrayLike, c2: ArrayLike) -> Ids:
        """The same for integers of any one shape, all from one version: int16, or int32 where ids need it."""
        table = self._table
        a, b = np.broadcast_arrays(*(np.asarray(ids).astype(np.int64, casting="same_kind") for ids in (c1, c2)))
        wrong = (a == b) | (np.minimum(a, b) < 0) | (np.maximum(a, b) >= table.clusters)
        if wrong.any():
            raise _no_pair(a[wrong][0], b[wrong][0], table)
        answers: Ids = table.answers[pair_number(a, b, table.clusters)]
        return answers

    @property
    def version(self) -> int:
        """The transition table that answers now."""
        return self._table.version

    @property
    def clusters(self) -> int:
        """How many clusters that table's set has; their ids are 0..clusters-1."""
        return self._table.clusters

    @property
    def stale_since(self) -> datetime | None:
        """When Postgres last confirmed the version, if it is out of reach now or silent for three polls; else None."""
        return self._follower.stale_since

    def close(self) -> None:
        """End the thread and its connection; look-ups go on with the version they have."""
        self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _refresh(self, conn: psycopg.Connection) -> None:
        self._table = self._current(conn, self._table)

    def _current(self, conn: psycopg.Connection, held: _Table | None) -> _Table:
        row = conn.execute(CURRENT, [self._channel]).fetchone()
        if row is None:
            raise ValueError(f"nothing is published on channel {self._channel!r}: see `driftline tables list`")
        version, clusters = row
        if held and held.version == version:
            return held
        answers = read_answers(conn, version, clusters)
        return _Table(version, clusters, answers)


def read_answers(conn: psycopg.Connection, version: int, clusters: int) -> Ids:
    """The answers of a table by number of the pair: int16, or int32 where ids need it.

    Raises:
        RuntimeError: it is not complete.
    """
    data = b"".join(block for (block,) in conn.execute(ANSWERS, [version], binary=True))
    answers: Ids = np.frombuffer(data, ">i4").astype(id_type(clusters))
    # What is left of `interests.mapping.check`, which would load Arrow: unique pairs and novel answers are Postgres' constraints.
    if len(answers) != pair_count(clusters):
        raise RuntimeError(f"table {version} answers {len(answers)} pairs of {clusters} clusters: it is not complete")
    return answers


def _no_pair(c1: int, c2: int, table: _Table) -> ValueError:
    return ValueError(f"no pair ({c1}, {c2}): two different cluster ids out of 0..{table.clusters - 1}")
