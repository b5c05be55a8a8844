"""The wait for a person: one review at a time, opened for a candidate that a gate has stopped (paper §2.2, design §4)."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from driftline.contracts import (
    Closing,
    Evaluation,
    Event,
    ExpireReview,
    FindReview,
    Gates,
    Notification,
    OpenReview,
    RunIds,
    Verdict,
    VerdictReply,
    note,
    parse_verdict,
)
from driftline.workflows import policies, verdicts
from driftline.workflows.notifications import tell

with workflow.unsafe.imports_passed_through():
    from driftline.activities.reviews import ReviewActivities

KEPT = 20
"""Ignored verdicts that the status query lists: the newest."""


def review_id(run: RunIds, attempt: int, table: int, evaluation: Evaluation) -> str:
    """Names one candidate of one attempt under one evaluation, so that no verdict can hit another.

    Of named fields only: a field that is added to `Evaluation` must not rename the reviews that wait.
    """
    judged = (evaluation.exact_match_rate, evaluation.recall, evaluation.test_triples, evaluation.failed_gates)
    candidate = (run.workflow_id, run.run_id, attempt, table, *judged)
    return hashlib.sha256(repr(candidate).encode()).hexdigest()[:12]


class ReviewState:
    """State of the review inside a running workflow.

    Attributes:
        waits: the open review, if a candidate waits.
        ignored: why each verdict that changed nothing changed nothing: the newest `KEPT`, oldest first.
    """

    def __init__(self) -> None:
        self.waits: OpenReview | None = None
        self.ignored: list[str] = []
        self._opening = False
        self._closed: dict[str, str] = {}
        self._taken: Verdict | None = None
        self._decision: Closing | None = None

    async def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """Take whatever somebody signalled: a verdict, the word that Postgres has one, or a mistake."""
        if name == "decided":
            await self._look()
        elif name != "verdict":
            self._ignore(f"unknown signal {name!r}: a verdict's signal is named 'verdict'")
        elif len(args) != 1:
            self._ignore(f"malformed verdict: one value is expected, {len(args)} came")
        else:
            try:
                raw = workflow.payload_converter().from_payload(args[0].payload)
            except Exception as error:
                self._ignore(f"malformed verdict: not JSON ({error})")
                return
            await self.submit(raw)

    async def submit(self, raw: Any) -> VerdictReply:
        """Take a verdict from either door: store it, then let it act."""
        strict = workflow.patched("strict-verdicts")
        verdict = parse_verdict(raw, strict)
        if isinstance(verdict, str):
            return self._ignore(verdict)
        await self._opened()
        while strict and self._taken is not None and self._decision is None:  # it may yet be refused
            await workflow.wait_condition(lambda: self._taken is None or self._decision is not None)
        waits = self.waits
        reason = verdicts.refusal(verdict, waits.review_id if waits else None, self._closed, self._taken)
        if reason:
            return self._ignore(reason)
        if verdict.decision == "revoke":
            return await self._revoke(verdict)
        self._taken = verdict
        try:
            stored = await workflow.execute_activity_method(ReviewActivities.record_verdict, verdict, **policies.verdict)
        except ActivityError as error:
            self._taken = None
            return self._ignore(f"the verdict could not be stored: {error.cause}")
        if stored:
            self._decision = verdict.decision
            return VerdictReply(accepted=True, message=f"{verdict.decision} by {verdict.reviewer}")
        self._taken = None
        reply = self._ignore(f"review {verdict.review_id} already has another verdict in Postgres")
        if workflow.patched("obey-postgres"):
            await self._look()
        return reply

    async def open(self, review: OpenReview) -> None:
        """Put the review on record; from now on it takes a verdict. One that was decided before a reset stays decided."""
        self._opening = True
        try:
            closed = await workflow.execute_activity_method(ReviewActivities.open_review, review, **policies.record)
            self.waits = review
        finally:
            self._opening = False
        self._decision = closed.decision if closed else None
        workflow.logger.warning("candidate waits for review", extra=_fields(review))
        if self._decision is None:
            await tell(_about(review, "review_opened"))

    async def decide(self, review: OpenReview, knobs: Gates) -> Closing:
        """Remind until the open review is decided or expires, and close it. An unanswered review publishes nothing."""
        reminders = 0
        while self._decision is None and (left := review.expires_at - workflow.now()) > timedelta(0):
            try:
                await workflow.wait_condition(lambda: self._decision is not None, timeout=min(left, knobs.remind_every))
            except TimeoutError:
                workflow.logger.warning("candidate still waits for review", extra=_fields(review))
                reminders += 1
                if review.expires_at > workflow.now():
                    await tell(_about(review, "review_reminder", f":{reminders}"))
        # A verdict that is being stored when the review expires was given in time.
        await workflow.wait_condition(lambda: self._decision is not None or self._taken is None)
        decision = self._decision
        said = f"{decision} by {self._taken.reviewer}" if decision and self._taken else decision or "expired"
        self._closed[review.review_id] = said
        self.waits = self._taken = self._decision = None
        if decision is not None:
            return decision
        expiry = ExpireReview(review.review_id)
        closed = await workflow.execute_activity_method(ReviewActivities.expire_review, expiry, **policies.record)
        return closed.decision if closed else "expired"

    async def _revoke(self, verdict: Verdict) -> VerdictReply:
        """Puts a revoke on record; publishing asks for it."""
        try:
            await workflow.execute_activity_method(ReviewActivities.record_verdict, verdict, **policies.verdict)
        except ActivityError as error:
            return self._ignore(f"the revoke could not be stored: {error.cause}")
        return VerdictReply(accepted=True, message=f"revoke by {verdict.reviewer}")

    async def _opened(self) -> None:
        """Wait for a review that is being opened: Postgres has it before this run hears so, and others may act on it at once."""
        if self._opening and workflow.patched("hear-while-opening"):
            await workflow.wait_condition(lambda: not self._opening)

    async def _look(self) -> None:
        """Obey what Postgres has on the open review, if it has something."""
        await self._opened()
        if (waits := self.waits) is None:
            return
        wanted = FindReview(waits.review_id)
        closed = await workflow.execute_activity_method(ReviewActivities.closed_review, wanted, **policies.record)
        if closed is not None and self.waits is waits and self._decision is None:
            self._decision = closed.decision

    def _ignore(self, reason: str) -> VerdictReply:
        self.ignored = [*self.ignored, note(reason)][-KEPT:]
        workflow.logger.warning("verdict ignored: %s", self.ignored[-1])
        return VerdictReply(accepted=False, message=self.ignored[-1])


def _fields(review: OpenReview) -> dict[str, Any]:
    return {"review_id": review.review_id, "table": review.table, "failed_gates": list(review.evaluation.failed_gates)}


def _about(review: OpenReview, event: Event, more: str = "") -> Notification:
    key = f"{event}:{review.review_id}{more}"
    return Notification(event, key, review.run, review.channel, review.table, review.review_id)
