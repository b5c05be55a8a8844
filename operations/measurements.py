"""Measurements on one's own log: which days, the durable run that measures, and its numbers."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json
from temporalio.client import WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError

from driftline.contracts import MeasurementInput, MeasurementOutcome, Window
from driftline.db import measurements as db_measurements
from driftline.db import models as db_models
from driftline.db.measurements import Measurement
from driftline.operations.context import Context
from driftline.operations.runs import RunFailed, nominal_or_end_of_log, result
from driftline.sources.log import span
from driftline.workflows import policies

MeasurementHandle = WorkflowHandle[Any, MeasurementOutcome]

# As recorded histories name them.
WORKFLOWS = {
    "drift": "EvaluateDrift",
    "refresh": "EvaluateRefresh",
    "answers": "EvaluateAnswers",
    "retrieval": "EvaluateRetrieval",
    "policy": "EvaluatePolicy",
}


def request(
    context: Context,
    begin: datetime | None,
    to: datetime | None,
    every: timedelta | None = None,
    cluster_set: int | None = None,
    model: int | None = None,
) -> MeasurementInput:
    """Input of a measurement: the same days for every one, unless they are given; with `model`, of that one and its cluster set.

    Raises:
        ValueError: the period is empty, or the log has no event.
    """
    settings = context.settings
    end = nominal_or_end_of_log(settings, to)
    first, _ = span(settings.source)
    start = begin.replace(tzinfo=UTC) if begin else _held_out(context, end, cluster_set, model)
    if start >= end:
        raise ValueError(
            f"no held-out period: it would begin on {start:%Y-%m-%d} and end on {end:%Y-%m-%d}; choose --from and --to"
        )
    measures = replace(settings.measures, every=every) if every else settings.measures
    return MeasurementInput(
        source=settings.source,
        windows=settings.rag_refresh.windows,
        period=Window(start, end),
        log_start=first.replace(hour=0, minute=0, second=0, microsecond=0),
        sequences=settings.sequences,
        counting=settings.counting,
        retrieval=settings.retrieval,
        generation=settings.generation,
        measures=measures,
        cluster_set=cluster_set,
        model=model,
    )


def _held_out(context: Context, end: datetime, cluster_set: int | None, model: int | None) -> datetime:
    """Start of the held-out days: as many before the end as the settings say; fewer where the model has learned from some of
    them."""
    wanted = end - timedelta(days=context.settings.measures.held_out_days)
    with context.engine.connect() as connection:
        if model is None:
            if db_models.newest_trained_before(connection, wanted, cluster_set):
                return wanted
            latest = db_models.newest_trained_before(connection, end - timedelta(days=1), cluster_set)
            model = latest.version if latest else None
        ended = db_models.trained_until(connection, model) if model else wanted
    return max(wanted, ended) if ended < end else wanted


def workflow_id(what: str, request: MeasurementInput) -> str:
    """Names a measurement's run by its kind, its days, and a hash of the whole request."""
    digest = hashlib.sha256(to_json(request)).hexdigest()[:8]
    return f"evaluate-{what}-{request.period.start:%Y-%m-%d}-{request.period.end:%Y-%m-%d}-{digest}"


async def start(context: Context, what: str, request: MeasurementInput) -> MeasurementHandle:
    """Start a measurement, or join the one of the same request that is under way: other settings are another measurement."""
    context.allow()
    client = await context.temporal()
    name = workflow_id(what, request)
    try:
        return await client.start_workflow(
            WORKFLOWS[what], request, id=name, task_queue=policies.WORKFLOWS, result_type=MeasurementOutcome
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle(name, result_type=MeasurementOutcome)


async def outcome(handle: MeasurementHandle) -> MeasurementOutcome:
    """What was measured; waits for it.

    Raises:
        RunFailed: nothing was; the run's name and its own words.
    """
    try:
        return await result(handle)
    except RunFailed as error:
        raise RunFailed(f"{handle.id}: {error}") from None


def read(context: Context, outcome: MeasurementOutcome) -> list[Measurement]:
    """The numbers that a run put on record."""
    with context.engine.connect() as connection:
        return [db_measurements.get(connection, ref.version) for ref in outcome.measurements]
