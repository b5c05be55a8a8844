"""Reviews: the candidates that wait for a person, the evidence, and the verdict."""

import asyncio
from dataclasses import dataclass
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError

import db.reports
import db.reviews
import db.tables
from contracts import Decision, VerdictReply
from db.reports import Report
from db.reviews import Review
from db.tables import InexactAnswer
from operations.context import Context, Unreachable
from operations.runs import failure

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


def waiting(context: Context) -> list[Review]:
    """Every candidate that waits, longest first."""
    with context.engine.connect() as connection:
        return db.reviews.waiting(connection)


def get(context: Context, review_id: str) -> Review:
    """Raises ValueError: there is no such review."""
    with context.engine.connect() as connection:
        return db.reviews.get(connection, review_id)


def evidence(context: Context, review_id: str) -> Evidence:
    """Raises ValueError: there is no such review."""
    with context.engine.connect() as connection:
        review = db.reviews.get(connection, review_id)
        inexact = db.tables.inexact(connection, review.candidate, EXAMPLES)
        return Evidence(review, inexact, db.reports.newest_of(connection, review.candidate))


async def is_running(context: Context, review: Review) -> bool:
    """Whether the run that opened the review can still take a verdict."""
    return (await (await _opener(context, review)).describe()).status == WorkflowExecutionStatus.RUNNING


async def submit(context: Context, review: Review, decision: Decision, reviewer: str, reason: str) -> VerdictReply:
    """Send a verdict through the review's main door. A verdict that comes too late is an answer, not an error.

    Raises:
        Unreachable: the run does not answer, most likely because no worker runs.
    """
    if not await is_running(context, review):
        with context.engine.begin() as connection:
            db.reviews.expire(connection, review.review_id, "its run ended without a verdict")
            ended = db.reviews.get(connection, review.review_id)
        return VerdictReply(False, f"the run of review {review.review_id} has ended: {ended.decision} by {ended.reviewer}")
    verdict = {"gate_id": review.review_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    try:
        sent = (await _opener(context, review)).execute_update("verdict", verdict, result_type=VerdictReply)
        reply: VerdictReply = await asyncio.wait_for(sent, ANSWER_SECONDS)
    except WorkflowUpdateFailedError as error:
        return VerdictReply(False, failure(error))
    except TimeoutError:
        raise Unreachable(f"the run did not answer within {ANSWER_SECONDS:.0f} s: is a worker running?") from None
    return reply


async def _opener(context: Context, review: Review) -> WorkflowHandle[Any, Any]:
    return (await context.temporal()).get_workflow_handle(review.workflow_id, run_id=review.run_id)
