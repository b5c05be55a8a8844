"""The cadence's record: a row for every day, whether it acted or not, and what people said about days to come."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, func, insert, select, text

from driftline.contracts import (
    NEWEST_RULE,
    Action,
    BadInput,
    Cadence,
    CadenceDecision,
    Entry,
    KnownBy,
    MeasuredDay,
    Override,
    Rule,
    RunIds,
    Update,
)
from driftline.db.keys import lock
from driftline.db.schema import cadence_day, cadence_override

REMEMBERED = timedelta(days=400)
"""How much of the record a decision reads."""
_MEASURED = TypeAdapter(MeasuredDay)


@dataclass(frozen=True)
class DecidedDay:
    """One row of `cadence_day`."""

    channel: str
    day: date
    action: Action
    reasons: tuple[str, ...]
    measured: MeasuredDay | None
    cost: float
    budget_left: float | None
    settings: dict[str, Any]
    override: int | None
    workflow_id: str
    run_id: str
    created_at: datetime

    @property
    def rule(self) -> Rule:
        """Number of the rule that decided the day. Days of before there was a second one name none."""
        rule: Rule = self.settings.get("rule", 1)
        return rule


@dataclass(frozen=True)
class PublishedTable:
    """The newest table, by nominal time, that a channel was given, and the counts that it is of."""

    table: int
    nominal: datetime
    counts: int
    cluster_set: int


def hold(conn: Connection, channel: str) -> None:
    """Locks this channel's decisions until the transaction ends."""
    lock(conn, f"cadence:{channel}")


def find(conn: Connection, channel: str, day: date) -> DecidedDay | None:
    query = select(cadence_day).where(cadence_day.c.channel == channel, cadence_day.c.day == day)
    row = conn.execute(query).mappings().one_or_none()
    return _decided(dict(row)) if row else None


def add(
    conn: Connection,
    channel: str,
    made: CadenceDecision,
    measured: MeasuredDay | None,
    cadence: Cadence,
    run: RunIds,
    rule: Rule = NEWEST_RULE,
) -> None:
    """Put a day on record. A day has one row; nothing changes it."""
    row = {
        "channel": channel,
        "day": made.day,
        "action": made.action,
        "reasons": list(made.reasons),
        "measured": _MEASURED.dump_python(measured, mode="json") if measured else None,
        "cost": made.cost,
        "budget_left": made.left,
        "settings": asdict(cadence) | {"rule": rule},
        "override": made.override,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
    }
    conn.execute(insert(cadence_day).values(row))


def newest(conn: Connection, channel: str, limit: int) -> list[DecidedDay]:
    """Reads the decided days of a channel, the newest first."""
    query = select(cadence_day).where(cadence_day.c.channel == channel).order_by(cadence_day.c.day.desc()).limit(limit)
    return [_decided(dict(row)) for row in conn.execute(query).mappings()]


def before(conn: Connection, channel: str, day: date) -> list[DecidedDay]:
    """The days that a decision about `day` goes by, oldest first."""
    there = (cadence_day.c.channel == channel) & (cadence_day.c.day < day) & (cadence_day.c.day >= day - REMEMBERED)
    query = select(cadence_day).where(there).order_by(cadence_day.c.day)
    return [_decided(dict(row)) for row in conn.execute(query).mappings()]


def entries(days: list[DecidedDay]) -> tuple[Entry, ...]:
    return tuple(Entry(day.day, day.action, day.cost) for day in days)


def say(conn: Connection, channel: str, override: Override) -> int:
    """Put on record what is to be done on some days.

    Raises:
        BadInput: one of the days was decided about already.
    """
    hold(conn, channel)
    there = (cadence_day.c.channel == channel) & cadence_day.c.day.between(override.first, override.last)
    last = conn.execute(select(func.max(cadence_day.c.day)).where(there)).scalar_one()
    if last is not None:
        raise BadInput(f"{last} was decided about already, which nothing changes: begin on {last + timedelta(days=1)} or later")
    row = {
        "channel": channel,
        "action": override.action,
        "first_day": override.first,
        "last_day": override.last,
        "said_by": override.by,
        "known_by": override.known_by,
        "reason": override.reason,
    }
    return int(conn.execute(insert(cadence_override).values(row).returning(cadence_override.c.id)).scalar_one())


def newest_override(conn: Connection, channel: str, day: date) -> Override | None:
    """The newest override that covers a day."""
    o = cadence_override
    query = select(o).where(o.c.channel == channel, o.c.first_day <= day, o.c.last_day >= day).order_by(o.c.id.desc()).limit(1)
    row = conn.execute(query).one_or_none()
    return _override(row) if row else None


def overrides(conn: Connection, channel: str, since: date) -> list[Override]:
    """Reads a channel's overrides that cover a day from `since` on, newest first."""
    o = cadence_override
    query = select(o).where(o.c.channel == channel, o.c.last_day >= since).order_by(o.c.id.desc())
    return [_override(row) for row in conn.execute(query)]


def served(conn: Connection, channel: str, before: datetime) -> PublishedTable | None:
    """What the channel was given, of nominal times before `before`: the same for a day that is made up for later."""
    query = """
        SELECT t.version AS table, t.nominal, t.counts_version AS counts, t.cluster_set
        FROM publication p JOIN transition_table t ON t.version = p.to_version
        WHERE p.channel = :channel AND t.nominal < :before ORDER BY t.nominal DESC, t.version DESC LIMIT 1
    """
    row = conn.execute(text(query), {"channel": channel, "before": before}).mappings().one_or_none()
    return PublishedTable(**row) if row else None


def model(conn: Connection, before: datetime, cluster_set: int | None) -> tuple[int, datetime, int] | None:
    """The newest approved model, the nominal time of its fine-tune, and the counts that it has learned from."""
    query = """
        SELECT m.version, o.nominal, m.counts_version FROM table_overview o JOIN model m ON m.version = o.model_version
        WHERE o.kind = 'fine_tune' AND o.complete AND o.approved AND o.nominal < :before
            AND o.cluster_set = coalesce(:cluster_set, o.cluster_set)
        ORDER BY o.nominal DESC, o.version DESC LIMIT 1
    """
    row = conn.execute(text(query), {"before": before, "cluster_set": cluster_set}).one_or_none()
    return (row.version, row.nominal, row.counts_version) if row else None


def costs(conn: Connection, unit: str, before: datetime) -> dict[Update, float]:
    """Seconds that the newest update of each kind took. A refresh of the counts asks no LLM, and counts as free."""
    query = f"""
        SELECT DISTINCT ON (kind) kind, coalesce(train_{unit}_seconds, 0) + generate_{unit}_seconds AS seconds
        FROM table_cost WHERE nominal < :before AND generate_{unit}_seconds IS NOT NULL ORDER BY kind, nominal DESC, version DESC
    """
    names: dict[str, Update] = {"rag": "rag_refresh", "fine_tune": "fine_tune"}
    found: dict[Update, float] = {names[row.kind]: float(row.seconds) for row in conn.execute(text(query), {"before": before})}
    return found | {"counts": 0.0}


def _decided(row: dict[str, Any]) -> DecidedDay:
    measured = _MEASURED.validate_python(row["measured"]) if row["measured"] else None
    return DecidedDay(**row | {"reasons": tuple(row["reasons"]), "measured": measured})


def _override(row: Any) -> Override:
    known_by: KnownBy = row.known_by
    return Override(row.action, row.first_day, row.last_day, row.said_by, row.reason, row.id, known_by)
