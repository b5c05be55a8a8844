"""Measured results, with what they were computed from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, and_, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from driftline.contracts import BadInput, MeasurementKind, MeasurementRef, RunIds
from driftline.db.keys import content_key, lock
from driftline.db.results import Result, dump, load
from driftline.db.schema import measurement as measurements
from driftline.interests.naming import Named

REPLAYED = ("source", "period", "retrieval", "dedup", "predicate")
"""Inputs that replays of one cluster set and model have in common which differ in nothing but how often they renew."""


@dataclass(frozen=True)
class Measurement:
    version: int
    kind: MeasurementKind
    cluster_set: int
    table_version: int | None
    model_version: int | None
    inputs: dict[str, Any]
    result: Any
    """Of the class that `db.results.RESULTS` names for its kind."""
    workflow_id: str
    run_id: str
    created_at: datetime


def add(
    conn: Connection,
    *,
    kind: MeasurementKind,
    cluster_set: int,
    inputs: dict[str, Any],
    result: Result,
    run: RunIds,
    table: int | None = None,
    model: int | None = None,
) -> MeasurementRef:
    """Stores a measurement, unless the newest one of its kind and subject says the same of the same things.

    Args:
        inputs: everything it was computed from; dates, tuples and dataclasses are stored as JSON.

    Raises:
        ValueError: a number of the result is not finite.
    """
    numbers = dump(result)
    inputs = TypeAdapter(dict[str, Any]).dump_python(inputs, mode="json")
    subject = {"kind": kind, "cluster_set": cluster_set, "table_version": table, "model_version": model}
    lock(conn, f"measurement:{content_key(subject)}")
    same = (measurements.c[name].is_not_distinct_from(value) for name, value in subject.items())
    query = select(measurements).where(*same).order_by(measurements.c.version.desc()).limit(1)
    newest = conn.execute(query).one_or_none()
    if newest is not None and newest.inputs == inputs and newest.result == numbers:
        version = newest.version
    else:
        row = {
            **subject,
            "key": content_key(subject, inputs, numbers, newest.version if newest else None),
            "inputs": inputs,
            "result": numbers,
            "workflow_id": run.workflow_id,
            "run_id": run.run_id,
        }
        version = conn.execute(insert(measurements).values(row).returning(measurements.c.version)).scalar_one()
    return MeasurementRef(version, kind, result.missing)


def get(conn: Connection, version: int) -> Measurement:
    """Reads one measurement. Raises BadInput: there is no such version."""
    row = conn.execute(select(measurements).where(measurements.c.version == version)).one_or_none()
    if row is None:
        raise BadInput(f"no measurement {version}")
    return _measurement(row)


def of_names(conn: Connection, cluster_set: int) -> Named | None:
    """The newest measurement of a set's descriptions."""
    query = select(measurements.c.result).where(measurements.c.cluster_set == cluster_set, measurements.c.kind == "names")
    found = conn.execute(query.order_by(measurements.c.version.desc()).limit(1)).scalar_one_or_none()
    return None if found is None else TypeAdapter(Named).validate_python(load("names", found))


def of_quality(conn: Connection, table: int, test_counts: int, version: int | None) -> Measurement:
    """A table's quality on one test window: this measurement, or the newest.

    Raises:
        BadInput: there is none.
    """
    query = select(measurements).where(
        measurements.c.kind == "quality",
        measurements.c.table_version == table,
        measurements.c.inputs["test_counts"].as_integer() == test_counts,
    )
    if version is not None:
        query = query.where(measurements.c.version == version)
    row = conn.execute(query.order_by(measurements.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise BadInput(f"the quality of table {table} was not measured on this test window: start its run again")
    return _measurement(row)


def about(conn: Connection, cluster_set: int, model: int | None) -> list[Measurement]:
    """The measurements that concern a table of this model; None: of counts.

    The newest measurement of each kind of its cluster set and, where an LLM was asked, of the model; and the newest quality of
    every table of the cluster set, by nominal time.
    """
    rows = conn.execute(
        select(measurements)
        .where(measurements.c.cluster_set == cluster_set)
        .where(measurements.c.model_version.is_(None) | (measurements.c.model_version == model))
        .ext(distinct_on(measurements.c.kind, measurements.c.table_version))
        .order_by(measurements.c.kind, measurements.c.table_version, measurements.c.version.desc())
    ).all()
    found = [_measurement(row) for row in rows]
    return sorted(found, key=lambda m: (m.kind, m.result.nominal if m.kind == "quality" else m.created_at, m.version))


def since(conn: Connection, kind: MeasurementKind, moment: datetime) -> list[Measurement]:
    """Reads the measurements of a kind that were stored since a moment, oldest first."""
    query = select(measurements).where(measurements.c.kind == kind, measurements.c.created_at >= moment)
    return [_measurement(row) for row in conn.execute(query.order_by(measurements.c.version))]


def replays(conn: Connection) -> list[Measurement]:
    """The newest replay, and those of the same days, log and model: of each interval the newest, oldest first."""
    of_refresh = select(measurements).where(measurements.c.kind == "refresh")
    newest = of_refresh.order_by(measurements.c.version.desc()).limit(1).subquery("newest")
    there, every = measurements.c, measurements.c.inputs["every_days"]
    columns = ((there[name], newest.c[name]) for name in ("cluster_set", "model_version"))
    inputs = ((there.inputs[name], newest.c.inputs[name]) for name in REPLAYED)
    same = and_(*(one.is_not_distinct_from(other) for one, other in (*columns, *inputs)))
    query = of_refresh.join(newest, same).ext(distinct_on(every)).order_by(every, there.version.desc())
    return sorted(map(_measurement, conn.execute(query)), key=lambda found: found.version)


def _measurement(row: Row[Any]) -> Measurement:
    values = {name: value for name, value in row._mapping.items() if name != "key"}
    return Measurement(**values | {"result": load(row.kind, row.result)})
