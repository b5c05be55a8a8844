"""Driftline's own Prometheus metrics, beside those of Temporal's SDK on the port of the workers of role `notify`."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import MetricMeter
from temporalio.service import RPCError

from driftline.db import channels as db_channels
from driftline.db import figures as db_figures
from driftline.db.connection import Engine
from driftline.db.figures import Figure
from driftline.workflows import attributes

EVERY = timedelta(seconds=15)
"""As often as Prometheus asks by default."""
KINDS = {"FineTune": "fine_tune", "RagRefresh": "rag"}
OUTCOMES = (
    *("published", "superseded", "revoked", "aborted", "expired"),
    *("failed", "canceled", "terminated", "timed_out"),
)
ABOUT = {
    "driftline_published_version": "Transition table that the channel serves",
    "driftline_published_age_seconds": "Since the nominal time of the table that the channel serves",
    "driftline_published_approved": "1 if the table that the channel serves may still be served, else 0",
    "driftline_pairs": "Pairs of the table that the channel serves, by how they were answered",
    "driftline_open_reviews": "Candidates that wait for a verdict",
    "driftline_open_review_age_seconds": "How long the oldest of them has waited; 0 if none waits",
    "driftline_last_run_outcome": "1 for how the last run of its kind ended, 0 for the other ways",
    "driftline_last_run_ended_timestamp_seconds": "When the last run of its kind ended",
    "driftline_last_table_tokens": "Tokens that the newest table of its kind took, by step",
    "driftline_last_table_cpu_seconds": "CPU time that the newest table of its kind took, by step",
    "driftline_last_table_gpu_seconds": "GPU time that the newest table of its kind took, by step",
    "driftline_last_table_pairs": "Pairs of the newest table of its kind that were asked anew, or known",
    "driftline_starts_left_out": "Starts that a schedule has skipped or missed since it was made, when the watch last looked",
    "driftline_refreshed_timestamp_seconds": "When these figures were last read; older than a minute: they are stale",
}
log = logging.getLogger("driftline.metrics")


async def serve(meter: MetricMeter, engine: Engine, client: Client) -> None:
    """Keep the gauges up to date until cancelled. A server that is away leaves them as they are, and is logged."""
    gauges = {name: meter.create_gauge_float(name, about) for name, about in ABOUT.items()}
    while True:
        try:
            for figure in [*await asyncio.to_thread(_recorded, engine), *await _runs(client)]:
                gauges[figure.name].set(figure.value, figure.labels)
            gauges["driftline_refreshed_timestamp_seconds"].set(time.time())
        except Exception as error:  # whatever it is, metrics must not stop a worker
            log.warning("metrics are stale: %s", type(error).__name__)
        await asyncio.sleep(EVERY.total_seconds())


def _recorded(engine: Engine) -> list[Figure]:
    with engine.connect() as connection:
        found = db_figures.figures(connection)
        served = db_channels.list_channels(connection)
    pairs = ((channel, *how) for channel, table in served.items() for how in _answers(engine, table))
    return [*found, *(Figure("driftline_pairs", n, {"channel": channel, "decoding": how}) for channel, how, n in pairs)]


@lru_cache(maxsize=64)
def _answers(engine: Engine, table: int) -> tuple[tuple[str, int], ...]:
    with engine.connect() as connection:
        return tuple(db_figures.answers(connection, table).items())


async def _runs(client: Client) -> list[Figure]:
    """How the newest run of each kind that is over has ended."""
    found: list[Figure] = []
    for workflow, kind in KINDS.items():
        query = f"WorkflowType = '{workflow}' AND ExecutionStatus != 'Running'"
        try:
            async for run in client.list_workflows(query, limit=1):
                completed = run.status == WorkflowExecutionStatus.COMPLETED
                stage = run.typed_search_attributes.get(attributes.STAGE) if completed else None
                found += _ended(kind, stage or (run.status.name.lower() if run.status else ""), run.close_time)
        except RPCError as error:
            log.warning("how runs ended is not known: %s", error.status.name)
    return found


def _ended(kind: str, outcome: str, at: datetime | None) -> Iterator[Figure]:
    for each in OUTCOMES:
        yield Figure("driftline_last_run_outcome", float(each == outcome), {"kind": kind, "outcome": each})
    if at is not None:
        yield Figure("driftline_last_run_ended_timestamp_seconds", at.timestamp(), {"kind": kind})
