"""Steps of a review: the review and the verdict are on record before either takes effect.

Histories have three of them under the names of before, when the stop was called a gate.
"""

import asyncio
from dataclasses import dataclass, replace

from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from driftline.activities.principals import principal_of
from driftline.activities.resources import Resources
from driftline.contracts import BadInput, ClosedReview, ExpireReview, FindReview, OpenReview, Supersede, Verdict, barred
from driftline.db import reviews as db_reviews
from driftline.db.reviews import Review


@dataclass(frozen=True)
class ReviewActivities:
    resources: Resources

    @activity.defn(name="open_gate")
    def open_review(self, review: OpenReview) -> ClosedReview | None:
        """Opens the review; returns how it ended if the same one was opened before and has ended."""
        with self.resources.engine.begin() as connection:
            db_reviews.open(connection, review)
            return db_reviews.closed(connection, review.review_id)

    @activity.defn
    async def record_verdict(self, verdict: Verdict) -> bool:
        """Stores a verdict; False when the review already ended otherwise. An authenticated sender is the reviewer, whatever the
        verdict says.

        Raises:
            BadInput: whoever it is may not decide, by the settings of this worker.
        """
        sender = await principal_of(verdict) if self.resources.principals else None
        given = replace(verdict, reviewer=sender, known_by="principal") if sender else replace(verdict, known_by="claimed")
        if reason := barred(given.reviewer, given.known_by, self.resources.gates):
            raise BadInput(reason)
        return await asyncio.to_thread(self._record, given)

    def _record(self, verdict: Verdict) -> bool:
        with self.resources.engine.begin() as connection:
            return db_reviews.record_verdict(connection, verdict)

    @activity.defn(name="expire_gate")
    def expire_review(self, request: ExpireReview) -> ClosedReview | None:
        """How it ended: expired, unless a verdict was there."""
        with self.resources.engine.begin() as connection:
            db_reviews.expire(connection, request.review_id)
            return db_reviews.closed(connection, request.review_id)

    @activity.defn
    def closed_review(self, request: FindReview) -> ClosedReview | None:
        """How it ended; None while it waits."""
        with self.resources.engine.connect() as connection:
            return db_reviews.closed(connection, request.review_id)

    @activity.defn
    async def supersede(self, request: Supersede) -> int:
        """Close the reviews of older candidates that wait, and tell their runs. Returns how many this candidate superseded."""
        closed = await asyncio.to_thread(self._supersede, request)
        for review in closed:
            try:
                await activity.client().get_workflow_handle(review.workflow_id).signal("decided")
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:  # its run has ended
                    raise
        return len(closed)

    def _supersede(self, request: Supersede) -> list[Review]:
        with self.resources.engine.begin() as connection:
            return db_reviews.supersede(connection, request.table, request.channel)
