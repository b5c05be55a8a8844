"""The cadence: what was decided, a decision now, and a person's word against it."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError

from driftline.contracts import NEWEST_RULE, Action, BadInput, CadenceDecision, CadenceInput, KnownBy, Override
from driftline.db import cadence as db_cadence
from driftline.db import measurements as db_measurements
from driftline.db import reports as db_reports
from driftline.db.cadence import DecidedDay
from driftline.interests.cadence_budget import bank
from driftline.operations.context import Context
from driftline.operations.runs import fine_tune_input, nominal_or_end_of_log, rag_refresh_input
from driftline.report.cadences import Decided
from driftline.report.content import CostRow
from driftline.report.dimensions import Dimensions, TableDimensions
from driftline.settings import Settings
from driftline.workflows import policies


def cadence_input(settings: Settings, nominal: datetime | None = None) -> CadenceInput:
    """Maps settings to the input of a daily decision."""
    counts = replace(settings.rag_refresh, answers="counts")
    return CadenceInput(
        cadence=settings.cadence,
        rag_refresh=rag_refresh_input(settings),
        counts=rag_refresh_input(settings.model_copy(update={"rag_refresh": counts})),
        fine_tune=fine_tune_input(settings),
        nominal=nominal,
        rule=NEWEST_RULE,
    )


@dataclass(frozen=True)
class CadenceStatus:
    channel: str
    policy: str
    budget: float
    unit: str
    left: float | None
    """Seconds of the budget that may be spent today; None: there is no limit."""
    days: list[DecidedDay]
    """Newest first."""
    overrides: list[Override]
    """Of today and later, newest first."""


def status(context: Context, limit: int) -> CadenceStatus:
    """The record's newest days, what is left of the budget, and what people said about days to come."""
    settings, today = context.settings, datetime.now(UTC).date()
    with context.engine.connect() as connection:
        days = db_cadence.newest(connection, settings.channel, limit)
        record = db_cadence.entries(
            db_cadence.before(connection, settings.channel, date.max if not days else _after(days[0].day))
        )
        overrides = db_cadence.overrides(connection, settings.channel, today)
    cadence = settings.cadence
    # A record of past days that were made up for ends before today.
    until, rule = (max(today, days[0].day), days[0].rule) if days else (today, NEWEST_RULE)
    left = bank(record, cadence.budget, until, rule)
    return CadenceStatus(settings.channel, cadence.policy, cadence.budget, cadence.unit, left, days, overrides)


async def decide(context: Context, at: datetime | None) -> CadenceDecision:
    """Decide about a nominal day now, or say what is on record about it; an update is started if that is the decision.

    `at`: a midnight; None: the newest of the log.
    """
    nominal = nominal_or_end_of_log(context.settings, at)
    context.allow()
    client = await context.temporal()
    name = f"driftline-cadence-{nominal:%Y-%m-%d}"
    try:
        handle: WorkflowHandle[Any, CadenceDecision] = await client.start_workflow(
            "KeepCadence",
            cadence_input(context.settings, nominal),
            id=name,
            task_queue=policies.WORKFLOWS,
            result_type=CadenceDecision,
        )
    except WorkflowAlreadyStartedError:
        handle = client.get_workflow_handle(name, result_type=CadenceDecision)
    return await handle.result()


def override(
    context: Context, action: Action, first: date, last: date, by: str, reason: str, known_by: KnownBy = "claimed"
) -> Override:
    """Say what is done on some days, whatever is measured. The newest word about a day counts.

    Raises:
        BadInput: one of the days was decided about already.
        ValueError: the last day is before the first, or there is no reason.
    """
    if last < first:
        raise ValueError(f"the last day, {last}, is before the first, {first}")
    if not reason.strip():
        raise ValueError("write why: a reason is on record with an override")
    said = Override(action, first, last, by, reason.strip(), known_by=known_by)
    with context.engine.begin() as connection:
        return replace(said, id=db_cadence.say(connection, context.settings.channel, said))


def _after(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)


def dimensions(context: Context, runs: int, days: int) -> Dimensions:
    """Cost, agility and knowledge of the newest `runs` tables of each kind, and the cadence's newest `days`."""
    channel = context.settings.channel
    with context.engine.connect() as connection:
        costs = db_reports.newest_costs(connection, runs)
        record = db_cadence.newest(connection, channel, days)
        replays = db_measurements.replays(connection)
    names = [field.name for field in fields(CostRow) if field.name != "table"]
    made = tuple(
        TableDimensions(
            CostRow(table=row["version"], **{name: row[name] for name in names}),
            row["answers"],
            row["recall"],
            row["recall_chance"],
            row["recall_popular"],
        )
        for row in costs
    )
    decided = [Decided(datetime.combine(d.day, time(tzinfo=UTC)), d.action, d.reasons, d.measured) for d in reversed(record)]
    return Dimensions(channel, made, tuple(decided), tuple(replays))


def write(dimensions: Dimensions, page: Path) -> None:
    """Write the page, one self-contained HTML file.

    Raises:
        BadInput: the extra `report` is not installed.
    """
    try:
        from driftline.report.dimensions_page import render  # matplotlib takes a second to load
    except ModuleNotFoundError as error:
        raise BadInput(f"the page needs {error.name}: `pip install 'driftline[report]'`") from None
    page.write_text(render(dimensions), encoding="utf-8")
