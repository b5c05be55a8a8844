"""What old versions weigh, what still needs them, and dropping the rows of those that nothing needs. Records stay.

Arrow is not imported here: the command that shows it starts without.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from driftline.contracts import BadInput
from driftline.db.schema import asked_again

RowsOf = Literal["table", "counts"]

KEPT_ADAPTERS = """
    SELECT m.adapter_hash FROM model m WHERE m.created_at >= :before OR EXISTS (
        SELECT FROM transition_table t WHERE t.model_version = m.version
            AND (table_approved(t.version) OR t.version IN (SELECT kept_tables(:before))))
"""
"""Of every approved model: only training makes it again."""
KEPT_MAPPINGS = "SELECT mapping_hash FROM transition_table WHERE version IN (SELECT kept_tables(:before))"


KEPT_RECOMMENDERS = """
    SELECT unnest(ARRAY[hash, encoder_hash]) FROM recommender WHERE created_at >= :before
        OR version IN (SELECT max(version) FROM recommender GROUP BY cluster_set)
"""


@dataclass(frozen=True)
class PrunableRows:
    """Rows of one version that nothing needs."""

    kind: RowsOf
    version: int
    bytes: int


@dataclass(frozen=True)
class KeptFiles:
    """Hashes of the artifacts that are needed however old they are."""

    adapters: frozenset[str]
    mappings: frozenset[str]
    """And answers."""
    recommenders: frozenset[str]
    """And their encoders."""


def note_asked_again(conn: Connection, kind: RowsOf, version: int) -> None:
    """Records that a run has requested a version that is there: its age counts from now."""
    conn.execute(insert(asked_again).values(kind=kind, version=version))


def has_rows(conn: Connection, kind: RowsOf, version: int) -> bool:
    """Whether the rows of a version are there; else they were dropped."""
    return bool(conn.execute(text("SELECT has_rows(:kind, :version)"), {"kind": kind, "version": version}).scalar_one())


def require_rows(conn: Connection, kind: RowsOf, version: int) -> None:
    """Refuses a version whose rows were pruned.

    Raises:
        BadInput: they were dropped.
    """
    if not has_rows(conn, kind, version):
        named = {"table": "transition table", "counts": "counts version"}[kind]
        raise BadInput(f"the rows of {named} {version} were pruned: run again what made it, with the same --at")


def prunable(conn: Connection, before: datetime) -> list[PrunableRows]:
    """Versions whose rows nothing needs that happened since `before`; oldest first."""
    rows = conn.execute(text("SELECT kind, version, bytes FROM prunable(:before) ORDER BY kind, version"), {"before": before})
    return [PrunableRows(row.kind, row.version, row.bytes) for row in rows]


def kept_files(conn: Connection, before: datetime) -> KeptFiles:
    """The artifacts that something needs which is on record since `before`."""
    queries = (KEPT_ADAPTERS, KEPT_MAPPINGS, KEPT_RECOMMENDERS)
    return KeptFiles(*(frozenset(conn.execute(text(query), {"before": before}).scalars()) for query in queries))


def prune(conn: Connection, rows: PrunableRows, before: datetime) -> bool | None:
    """Drop the rows of one version. False: something needs them by now. None: somebody reads them, so try again.

    Raises:
        BadInput: this login may not.
    """
    query = text("SELECT prune_version(:kind, :version, :before)")
    try:
        with conn.begin_nested():
            parameters = {"kind": rows.kind, "version": rows.version, "before": before}
            return conn.execute(query, parameters).scalar_one() is not None
    except DBAPIError as error:
        if isinstance(error.orig, LockNotAvailable):
            return None
        if isinstance(error.orig, InsufficientPrivilege):
            raise BadInput(
                "this login of Postgres may not prune: use the schema's owner, or have it say SELECT grant_pruning('LOGIN')"
            ) from None
        raise
