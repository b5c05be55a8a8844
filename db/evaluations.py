"""What the gates judged a table by. A table's newest evaluation counts."""

from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from contracts import Evaluation
from db.keys import lock
from db.schema import evaluation as evaluations


def add(conn: Connection, table: int, test_counts: int, evaluation: Evaluation) -> int:
    """Store an evaluation of a table unless its newest one says the same; returns its id.

    A second one arises when a run is repeated with other thresholds or another test window; gates belong to one evaluation.
    """
    values = {**asdict(evaluation), "failed_gates": list(evaluation.failed_gates)}
    lock(conn, f"evaluation:{table}")
    newest = _newest(conn, table)
    if newest is not None and newest.counts_version == test_counts and _evaluation(newest) == evaluation:
        return int(newest.id)
    row = {"table_version": table, "counts_version": test_counts, **values}
    return int(conn.execute(insert(evaluations).values(row).returning(evaluations.c.id)).scalar_one())


def get(conn: Connection, table: int) -> Evaluation | None:
    """The newest evaluation of a table."""
    row = _newest(conn, table)
    return None if row is None else _evaluation(row)


def _newest(conn: Connection, table: int) -> Row[Any] | None:
    query = select(evaluations).where(evaluations.c.table_version == table).order_by(evaluations.c.id.desc()).limit(1)
    return conn.execute(query).one_or_none()


def _evaluation(row: Row[Any]) -> Evaluation:
    values = {field.name: row._mapping[field.name] for field in fields(Evaluation)}
    return Evaluation(**{**values, "failed_gates": tuple(row.failed_gates)})
