"""What the gates judged a table by. A table's newest evaluation counts."""

from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from driftline.contracts import Evaluation
from driftline.db import reviews
from driftline.db.keys import lock
from driftline.db.schema import evaluation as evaluations


def add(conn: Connection, table: int, test_counts: int, judged: Evaluation) -> Evaluation:
    """Store an evaluation of a table unless its newest one says the same.

    A second one arises when a run is repeated with other thresholds or another test window; reviews belong to one evaluation.
    What the gates let pass against a person's newest verdict requires a review: the returned evaluation says so.
    """
    lock(conn, f"evaluation:{table}")
    against = reviews.newest_verdict(conn, table)
    refused = against is not None and against.decision != "approve" and not judged.failed_gates
    evaluation = replace(judged, review_required=judged.review_required or refused)
    values = {**asdict(evaluation), "failed_gates": list(evaluation.failed_gates)}
    newest = _newest(conn, table)
    same = newest is not None and replace(_evaluation(newest), measurement=evaluation.measurement) == evaluation
    if newest is not None and same and newest.counts_version == test_counts:
        return evaluation
    row = {"table_version": table, "counts_version": test_counts, **values}
    conn.execute(insert(evaluations).values(row))
    return evaluation


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
