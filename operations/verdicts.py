"""Verdicts: approve, rerun, abort or revoke, as a command or a page gives them. What they rest on: `operations.reviews`.

Temporal's client is imported where it is used: it takes long to load.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from driftline.contracts import REASON_LENGTH, BadInput, KnownBy, ReviewDecision, Verdict, VerdictReply, barred, parse_verdict
from driftline.db import consents as db_consents
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.consents import Consent
from driftline.db.reviews import Review
from driftline.operations import reviews
from driftline.operations.context import Context, Unreachable

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle

ANSWER_SECONDS = 60.0
NEEDS_REASON = "write why: a reason is on record with {what}"


def login(context: Context) -> str | None:
    """Under whose name the database takes this caller's verdicts; None if it leaves that to the caller, as it does to workers."""
    with context.engine.connect() as connection:
        return db_reviews.login(connection)


async def decide(
    context: Context, review_id: str, decision: ReviewDecision, person: str, known_by: KnownBy, reason: str, shown: str
) -> VerdictReply:
    """Take the verdict of somebody who is known, if what they saw still holds.

    Args:
        shown: of the `Case` that they saw.

    Raises:
        BadInput: there is no such review.
    """
    given = parse_verdict({"review_id": review_id, "decision": decision, "reviewer": person, "reason": reason})
    if isinstance(given, str):
        return VerdictReply(False, given)
    with context.engine.connect() as connection:
        review = db_reviews.get(connection, review_id)
        now = reviews.fingerprint(context, connection, review)
    if changed := reviews.different(shown, now):
        return VerdictReply(False, f"nothing was done, because this changed since you looked: {changed}. Look again, then decide")
    if not given.reason and (what := needs_reason(review, decision)):
        return VerdictReply(False, NEEDS_REASON.format(what=what))
    given = replace(given, known_by=known_by)
    if given.decision == "approve" and takes_two(context, review):
        first = _first_of_two(context, given, shown)
        if isinstance(first, VerdictReply):
            return first
        given = replace(given, reason=f"{given.reason} (first {first.reviewer}: {first.reason})"[:REASON_LENGTH])
    return await record(context, review, given)


async def submit(
    context: Context, review: Review, decision: ReviewDecision, reviewer: str, reason: str, known_by: KnownBy = "claimed"
) -> VerdictReply:
    """Give a verdict on a review: a claimed name's through the run's main door, a known one's straight to Postgres (`record`).

    A verdict that comes too late is an answer, not an error.

    Raises:
        Unreachable: the run does not answer, most likely because no worker runs.
    """
    from temporalio.client import WorkflowUpdateFailedError
    from temporalio.service import RPCError, RPCStatusCode

    from driftline.operations.runs import failure

    verdict = {"gate_id": review.review_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    if isinstance(checked := parse_verdict(verdict), str):
        return VerdictReply(False, checked)
    if known_by != "claimed":
        return await record(context, review, replace(checked, known_by=known_by))
    if not await is_running(context, review):
        return _ended(context, review)
    try:
        sent = (await _opener(context, review)).execute_update("verdict", verdict, result_type=VerdictReply)
        reply: VerdictReply = await asyncio.wait_for(sent, ANSWER_SECONDS)
    except WorkflowUpdateFailedError as error:
        return VerdictReply(False, failure(error)) if await is_running(context, review) else _ended(context, review)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return _ended(context, review)  # another verdict ended the run in this very moment
    except TimeoutError:
        raise Unreachable(f"the run did not answer within {ANSWER_SECONDS:.0f} s: is a worker running?") from None
    return reply


async def record(context: Context, review: Review, verdict: Verdict) -> VerdictReply:
    """Put a verdict on record without the run, which then hears of it: for ways in that know who decides (`verdict.known_by`).

    The run obeys what Postgres has, at the latest when its review expires.
    """
    from temporalio.service import RPCError

    if reason := barred(verdict.reviewer, verdict.known_by, context.settings.gates):
        return VerdictReply(False, reason)
    if not await is_running(context, review):
        return _ended(context, review)
    try:
        with context.engine.begin() as connection:
            stored = db_reviews.record_verdict(connection, verdict)
            stands = db_reviews.get(connection, review.review_id)
    except BadInput as refused:
        return VerdictReply(False, str(refused))
    if not stored:
        return VerdictReply(False, f"duplicate: {stands.reviewer} already decided {stands.decision!r}")
    message = f"{verdict.decision} by {verdict.reviewer}"
    try:
        await (await _opener(context, review)).signal("decided")
    except RPCError as error:
        message += f"; it is on record, but the run was not told and obeys it when its review expires ({error.message})"
    return VerdictReply(True, message)


def revoke(
    context: Context, table: int, reviewer: str, reason: str, known_by: KnownBy = "claimed", shown: str | None = None
) -> VerdictReply:
    """Take back that a table may be served, also after its run has ended. Channels that serve it say so; none is moved.

    Args:
        shown: `standing` as this person saw it on a page, where a reason has to be given, too; None: they saw none.

    Raises:
        BadInput: there is no such table.
    """
    if shown is not None and not reason:
        return VerdictReply(False, NEEDS_REASON.format(what="a revoke"))
    if shown is not None and shown != standing(context, table):
        changed = reviews.CHANGED["verdict"]
        return VerdictReply(False, f"nothing was done, because this changed since you looked: {changed}. Look again")
    checked = parse_verdict({"review_id": "none", "decision": "revoke", "reviewer": reviewer, "reason": reason})
    if isinstance(checked, str):
        return VerdictReply(False, checked)
    if bar := barred(checked.reviewer, known_by, context.settings.gates):
        return VerdictReply(False, bar)
    with context.engine.begin() as connection:
        db_tables.get(connection, table)
        try:
            db_reviews.revoke(connection, table, checked.reviewer, checked.reason, known_by)
        except BadInput as error:
            return VerdictReply(False, str(error))
    return VerdictReply(True, f"table {table} is revoked by {checked.reviewer}")


def standing(context: Context, table: int) -> str:
    """Fingerprint of what is decided about a table; a page's revoke is taken only while it is still so."""
    with context.engine.connect() as connection:
        return reviews.digest(db_reviews.verdicts_about(connection, table))


def needs_reason(review: Review, decision: ReviewDecision) -> str:
    """Names what a reason has to be given for on a page; empty if none has to."""
    if decision == "abort":
        return "an abort"
    return "an approval against a gate" if decision == "approve" and review.failed_gates else ""


def takes_two(context: Context, review: Review) -> bool:
    """Whether one person cannot approve this alone."""
    return context.settings.web.two_persons and bool(review.failed_gates)


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


def _first_of_two(context: Context, given: Verdict, shown: str) -> Consent | VerdictReply:
    """Finds whoever else would approve what is shown; else puts this person on record as the first, and says so."""
    if reason := barred(given.reviewer, given.known_by, context.settings.gates):
        return VerdictReply(False, reason)
    with context.engine.begin() as connection:
        before = [c for c in db_consents.of(connection, given.review_id) if c.shown == shown and c.reviewer != given.reviewer]
        if before:
            return before[0]
        db_consents.add(connection, given.review_id, given.reviewer, given.known_by, shown, given.reason)
    return VerdictReply(True, "the first of two approvals; nothing is published until another reviewer approves, too")


def _ended(context: Context, review: Review) -> VerdictReply:
    """Closes the review of a run that takes no verdict any more, and says how it ended."""
    with context.engine.begin() as connection:
        with suppress(BadInput):  # a reviewer's login may not
            db_reviews.expire(connection, review.review_id, "its run ended without a verdict")
        ended = db_reviews.get(connection, review.review_id)
    if ended.decision is None:
        return VerdictReply(False, f"the run of review {review.review_id} has ended: it takes no verdict any more")
    return VerdictReply(False, f"the run of review {review.review_id} has ended: {ended.decision} by {ended.reviewer}")


async def _opener(context: Context, review: Review) -> WorkflowHandle[Any, Any]:
    """The newest run of the workflow: a reset begins another one."""
    return (await context.temporal()).get_workflow_handle(review.workflow_id)
