"""What the measurements say about a table. A table's newest report counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select, text

from driftline import contracts
from driftline.contracts import BadInput
from driftline.db.keys import content_key, lock
from driftline.db.schema import report as reports


@dataclass(frozen=True)
class Report:
    """A stored report on a table. `findings`: the summary, most important first; each with `level` ("good" | "neutral" | "bad")
    and `text`."""

    version: int
    table_version: int
    measurements: list[int]
    findings: list[dict[str, str]]
    created_at: datetime


def add(conn: Connection, table: int, measurements: Sequence[int], findings: Sequence[dict[str, str]]) -> contracts.ReportRef:
    """Store a report unless the table's newest one says the same of the same measurements."""
    lock(conn, f"report:{table}")
    newest = newest_of(conn, table)
    if newest is not None and newest.measurements == list(measurements) and newest.findings == list(findings):
        return contracts.ReportRef(newest.version, table)
    row = {
        "key": content_key(table, list(measurements), list(findings), newest.version if newest else None),
        "table_version": table,
        "measurements": list(measurements),
        "findings": list(findings),
    }
    return contracts.ReportRef(conn.execute(insert(reports).values(row).returning(reports.c.version)).scalar_one(), table)


def get(conn: Connection, version: int) -> Report:
    """Reads one report. Raises BadInput: there is no such report."""
    found = _one(conn, select(reports).where(reports.c.version == version))
    if found is None:
        raise BadInput(f"no report {version}")
    return found


def newest_of(conn: Connection, table: int) -> Report | None:
    query = select(reports).where(reports.c.table_version == table).order_by(reports.c.version.desc()).limit(1)
    return _one(conn, query)


def costs(conn: Connection, cluster_set: int) -> list[dict[str, Any]]:
    """The rows of `table_cost` for the tables of a cluster set, by nominal time."""
    query = text("SELECT * FROM table_cost WHERE cluster_set = :cluster_set ORDER BY nominal, version")
    return [dict(row) for row in conn.execute(query, {"cluster_set": cluster_set}).mappings()]


def newest_costs(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """The rows of `table_cost` for the newest tables of each kind, with what they are made of and their test-set recall beside
    chance; oldest first."""
    query = text("""
        SELECT * FROM (
            SELECT c.*, t.answers, o.recall, o.recall_chance, o.recall_popular,
                row_number() OVER (PARTITION BY c.kind, t.answers ORDER BY c.nominal DESC, c.version DESC) AS place
            FROM table_cost c JOIN transition_table t USING (version) JOIN table_overview o USING (version)
        ) newest WHERE place <= :limit ORDER BY nominal, version
    """)
    return [dict(row) for row in conn.execute(query, {"limit": limit}).mappings()]


def _one(conn: Connection, query: Select[Any]) -> Report | None:
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else Report(**{name: value for name, value in row.items() if name != "key"})
