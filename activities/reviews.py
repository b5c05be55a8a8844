"""Steps of a review: the review and the verdict are on record before either takes effect.

Histories have three of them under the names of before, when the stop was called a gate.
"""

from dataclasses import dataclass

from temporalio import activity

import db.reviews
from activities.resources import Resources
from contracts import ClosedReview, ExpireReview, FindReview, OpenReview, Verdict


@dataclass(frozen=True)
class ReviewActivities:
    resources: Resources

    @activity.defn(name="open_gate")
    def open_review(self, review: OpenReview) -> ClosedReview | None:
        """How it has ended, if the same review was opened before and has ended."""
        with self.resources.engine.begin() as connection:
            db.reviews.open(connection, review)
            return db.reviews.closed(connection, review.review_id)

    @activity.defn
    def record_verdict(self, verdict: Verdict) -> bool:
        """False when the review already ended otherwise."""
        with self.resources.engine.begin() as connection:
            return db.reviews.record_verdict(connection, verdict)

    @activity.defn(name="expire_gate")
    def expire_review(self, request: ExpireReview) -> ClosedReview | None:
        """How it ended: expired, unless a verdict was there."""
        with self.resources.engine.begin() as connection:
            db.reviews.expire(connection, request.review_id)
            return db.reviews.closed(connection, request.review_id)

    @activity.defn
    def closed_review(self, request: FindReview) -> ClosedReview | None:
        """How it ended; None while it waits."""
        with self.resources.engine.connect() as connection:
            return db.reviews.closed(connection, request.review_id)
