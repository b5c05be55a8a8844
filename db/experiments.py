"""Live experiments: their designs, what was measured of each, and how it ended."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.dialects.postgresql import insert

from driftline.contracts import BadInput, ExperimentInput, ExperimentRef, RunIds
from driftline.db.keys import content_key, lock
from driftline.db.schema import experiment as experiments
from driftline.db.schema import experiment_end as ends
from driftline.db.schema import experiment_measurement as measurements
from driftline.interests.experiments.result import Result

FORMAT = 1
ExperimentOutcome = Literal["completed", "stopped"]

_design, _result = TypeAdapter(ExperimentInput), TypeAdapter(Result)


@dataclass(frozen=True)
class Recorded:
    """An experiment as it stands; `outcome`, `actor`, `reason` and `ended_at` are None while it is measured."""

    name: str
    design: ExperimentInput
    """Without `experiment.setup`, which may name a password's variable."""
    workflow_id: str
    created_at: datetime
    outcome: ExperimentOutcome | None
    actor: str | None
    reason: str | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Measured:
    version: int
    days: int
    result: Result
    created_at: datetime


def register(conn: Connection, request: ExperimentInput, run: RunIds) -> None:
    """Put an experiment on record; the same one again changes nothing.

    Raises:
        BadInput: there is another of this name.
    """
    request = replace(request, experiment=replace(request.experiment, setup=""))
    design = _design.dump_python(request, mode="json")
    row = {"name": request.name, "design": design, "starts_at": request.start}
    row |= {"workflow_id": run.workflow_id, "run_id": run.run_id}
    conn.execute(insert(experiments).values(row).on_conflict_do_nothing())
    if conn.execute(select(experiments.c.design).where(experiments.c.name == request.name)).scalar_one() != design:
        raise BadInput(f"there is an experiment {request.name!r} already, and it is another one: choose a new name")


def get(conn: Connection, name: str) -> Recorded:
    """Reads one experiment. Raises BadInput: there is no such experiment."""
    row = conn.execute(_recorded().where(experiments.c.name == name)).one_or_none()
    if row is None:
        raise BadInput(f"no experiment {name!r}: see `driftline experiment status`")
    return _read(row)


def list_(conn: Connection) -> list[Recorded]:
    """Reads all experiments, the newest first."""
    return [_read(row) for row in conn.execute(_recorded().order_by(experiments.c.created_at.desc(), experiments.c.name))]


def add(conn: Connection, name: str, result: Result, run: RunIds) -> ExperimentRef:
    """Store a measurement, unless the newest one of the experiment says the same.

    Raises:
        BadInput: there is no such experiment.
    """
    lock(conn, f"experiment:{name}")
    get(conn, name)
    numbers = {"format": FORMAT, **_result.dump_python(result, mode="json")}
    newest = conn.execute(_measured(name)).first()
    if newest is not None and newest.result == numbers:
        return ExperimentRef(newest.version, newest.days, newest.mismatch)
    row = {
        "key": content_key(name, numbers, newest.version if newest else None),
        "experiment": name,
        "days": result.days,
        "mismatch": result.mismatch,
        "result": numbers,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
    }
    version = conn.execute(insert(measurements).values(row).returning(measurements.c.version)).scalar_one()
    return ExperimentRef(version, result.days, result.mismatch)


def newest(conn: Connection, name: str) -> Measured | None:
    """The newest measurement of an experiment.

    Raises:
        RuntimeError: it was stored by a newer release.
    """
    row = conn.execute(_measured(name)).first()
    if row is None:
        return None
    stored = dict(row.result)
    if (number := stored.pop("format")) > FORMAT:
        raise RuntimeError(f"the measurement of experiment {name} has format {number}, this release reads up to {FORMAT}")
    return Measured(row.version, row.days, _result.validate_python(stored), row.created_at)


def since(conn: Connection, moment: datetime) -> list[tuple[str, Measured]]:
    """The newest measurement of each experiment that was measured since then and that nobody has stopped."""
    found = [(one.name, newest(conn, one.name)) for one in list_(conn) if one.outcome != "stopped"]
    return [(name, measured) for name, measured in found if measured and measured.created_at >= moment]


def end(conn: Connection, name: str, outcome: ExperimentOutcome, actor: str, reason: str) -> bool:
    """Put on record how an experiment ended. False: it had ended already."""
    row = {"experiment": name, "outcome": outcome, "actor": actor, "reason": reason}
    written = insert(ends).values(row).on_conflict_do_nothing().returning(ends.c.experiment)
    return conn.execute(written).first() is not None


def _recorded() -> Select[Any]:
    columns = (experiments.c.name, experiments.c.design, experiments.c.workflow_id, experiments.c.created_at)
    ended = (ends.c.outcome, ends.c.actor, ends.c.reason, ends.c.created_at.label("ended_at"))
    return select(*columns, *ended).join(ends, ends.c.experiment == experiments.c.name, isouter=True)


def _measured(name: str) -> Select[Any]:
    return select(measurements).where(measurements.c.experiment == name).order_by(measurements.c.version.desc()).limit(1)


def _read(row: Row[Any]) -> Recorded:
    return Recorded(**{**row._mapping, "design": _design.validate_python(row.design)})
