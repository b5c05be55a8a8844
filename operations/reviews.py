"""Reviews: the candidates that wait for a person, the evidence, and the verdict.

Temporal's client is imported where it is used: who only lists reviews starts without it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from driftline import contracts
from driftline.contracts import BadInput
from driftline.db import reports as db_reports
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.connection import Engine
from driftline.db.reports import Report
from driftline.db.reviews import Review
from driftline.db.tables import InexactAnswer
from driftline.operations.context import Context, Unreachable

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

    from driftline.contracts import Decision, KnownBy, Verdict, VerdictReply

ANSWER_SECONDS = 60.0
EXAMPLES = 8
"""Answers that were not exact, shown to the reviewer."""


@dataclass(frozen=True)
class Evidence:
    """What a reviewer decides by.

    Attributes:
        inexact: pairs whose free answer was not exactly a novel description, and what was written instead.
        report: the newest of the candidate.
    """

    review: Review
    inexact: list[InexactAnswer]
    report: Report | None
    weights: dict[str, Any] | None = None
    """What was fitted for the candidate, if it is a blend or a table of counts."""


def waiting(context: Context) -> list[Review]:
    """Every candidate that waits, longest first."""
    with context.engine.connect() as connection:
        return db_reviews.waiting(connection)


def decided(context: Context, limit: int = 20) -> list[Review]:
    """The reviews that ended last, newest first."""
    with context.engine.connect() as connection:
        return db_reviews.decided(connection, limit)


def about(context: Context, table: int) -> list[Review]:
    """Every review of a table, oldest first."""
    with context.engine.connect() as connection:
        return db_reviews.about(connection, table)


def get(context: Context, review_id: str) -> Review:
    """Raises ValueError: there is no such review."""
    with context.engine.connect() as connection:
        return db_reviews.get(connection, review_id)


def evidence(context: Context, review_id: str) -> Evidence:
    """Raises ValueError: there is no such review."""
    with context.engine.connect() as connection:
        review = db_reviews.get(connection, review_id)
        weights = db_tables.weights(connection, review.candidate)
        report = db_reports.newest_of(connection, review.candidate)
    return Evidence(review, inexact(context, review.candidate), report, weights)


def inexact(context: Context, table: int) -> list[InexactAnswer]:
    """Some answers that were not exact, spread over the table. Rows of a version never change: they are looked for once."""
    return _inexact(context.engine, table)


@lru_cache(maxsize=32)
def _inexact(engine: Engine, table: int) -> list[InexactAnswer]:
    with engine.connect() as connection:
        return db_tables.inexact(connection, table, EXAMPLES)


async def is_running(context: Context, review: Review) -> bool:
    """Whether the run that opened the review can still take a verdict. A reset run can; one that retention has removed cannot."""
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    try:
        found = await (await _opener(context, review)).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    first = found.raw_description.workflow_execution_info.first_run_id
    return found.status == WorkflowExecutionStatus.RUNNING and review.run_id in (found.run_id, first)


def login(context: Context) -> str | None:
    """Under whose name the database takes this caller's verdicts; None if it leaves that to the caller, as it does to workers."""
    with context.engine.connect() as connection:
        return db_reviews.login(connection)


async def submit(
    context: Context, review: Review, decision: Decision, reviewer: str, reason: str, known_by: KnownBy = "claimed"
) -> VerdictReply:
    """Give a verdict: a claimed name's through the run's main door, a known one's straight to Postgres (`record`).

    A verdict that comes too late is an answer, not an error.

    Raises:
        Unreachable: the run does not answer, most likely because no worker runs.
    """
    from temporalio.client import WorkflowUpdateFailedError
    from temporalio.service import RPCError, RPCStatusCode

    from driftline.operations.runs import failure

    if decision == "revoke":
        return revoke(context, review.candidate, reviewer, reason, known_by)
    verdict = {"gate_id": review.review_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    if isinstance(checked := contracts.parse_verdict(verdict), str):
        return contracts.VerdictReply(False, checked)
    if known_by != "claimed":
        return await record(context, review, replace(checked, known_by=known_by))
    if not await is_running(context, review):
        return _ended(context, review)
    try:
        sent = (await _opener(context, review)).execute_update("verdict", verdict, result_type=contracts.VerdictReply)
        reply: VerdictReply = await asyncio.wait_for(sent, ANSWER_SECONDS)
    except WorkflowUpdateFailedError as error:
        return contracts.VerdictReply(False, failure(error)) if await is_running(context, review) else _ended(context, review)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return _ended(context, review)  # another verdict ended the run in this very moment
    except TimeoutError:
        raise Unreachable(f"the run did not answer within {ANSWER_SECONDS:.0f} s: is a worker running?") from None
    return reply


async def record(context: Context, review: Review, verdict: Verdict) -> VerdictReply:
    """Put a verdict on record without the run, which is then told: for ways in that know who decides (`verdict.known_by`).

    The run obeys what Postgres has, at the latest when its review expires.
    """
    from temporalio.service import RPCError

    if verdict.decision == "revoke":
        return revoke(context, review.candidate, verdict.reviewer, verdict.reason, verdict.known_by)
    if reason := contracts.barred(verdict.reviewer, verdict.known_by, context.settings.gates):
        return contracts.VerdictReply(False, reason)
    if not await is_running(context, review):
        return _ended(context, review)
    try:
        with context.engine.begin() as connection:
            stored = db_reviews.record_verdict(connection, verdict)
            stands = db_reviews.get(connection, review.review_id)
    except BadInput as refused:
        return contracts.VerdictReply(False, str(refused))
    if not stored:
        return contracts.VerdictReply(False, f"duplicate: {stands.reviewer} already decided {stands.decision!r}")
    said = f"{verdict.decision} by {verdict.reviewer}"
    try:
        await (await _opener(context, review)).signal("decided")
    except RPCError as error:
        said += f"; it is on record, but the run was not told and obeys it when its review expires ({error.message})"
    return contracts.VerdictReply(True, said)


async def taken_up(context: Context, review: Review) -> bool:
    """Wait until the run acts on how this review ended. False: it does not in time, most likely because no worker runs."""
    from temporalio.service import RPCError

    from driftline.operations.runs import status

    async def acts() -> None:
        while await is_running(context, review) and (await status(handle)).review_id == review.review_id:
            await asyncio.sleep(0.1)

    handle = await _opener(context, review)
    try:
        await asyncio.wait_for(acts(), ANSWER_SECONDS)
    except (TimeoutError, RPCError):
        return False
    return True


def revoke(context: Context, table: int, reviewer: str, reason: str, known_by: KnownBy = "claimed") -> VerdictReply:
    """Take back that a table may be served, also after its run has ended. Channels that serve it say so; none is moved.

    Raises:
        BadInput: there is no such table.
    """
    checked = contracts.parse_verdict({"review_id": "none", "decision": "revoke", "reviewer": reviewer, "reason": reason})
    if isinstance(checked, str):
        return contracts.VerdictReply(False, checked)
    if bar := contracts.barred(checked.reviewer, known_by, context.settings.gates):
        return contracts.VerdictReply(False, bar)
    with context.engine.begin() as connection:
        db_tables.get(connection, table)
        try:
            db_reviews.revoke(connection, table, checked.reviewer, checked.reason, known_by)
        except BadInput as error:
            return contracts.VerdictReply(False, str(error))
    return contracts.VerdictReply(True, f"table {table} is revoked by {checked.reviewer}")


def _ended(context: Context, review: Review) -> VerdictReply:
    """Its run takes no verdict any more: the review is closed, and whoever came is told how."""
    with context.engine.begin() as connection:
        with suppress(BadInput):  # a reviewer's login may not
            db_reviews.expire(connection, review.review_id, "its run ended without a verdict")
        ended = db_reviews.get(connection, review.review_id)
    if ended.decision is None:
        return contracts.VerdictReply(False, f"the run of review {review.review_id} has ended: it takes no verdict any more")
    return contracts.VerdictReply(False, f"the run of review {review.review_id} has ended: {ended.decision} by {ended.reviewer}")


async def _opener(context: Context, review: Review) -> WorkflowHandle[Any, Any]:
    """The newest run of the workflow: a reset begins another one."""
    return (await context.temporal()).get_workflow_handle(review.workflow_id)
