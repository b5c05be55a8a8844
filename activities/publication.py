"""Step: move a channel's pointer to a table."""

from dataclasses import dataclass

from temporalio import activity

import db.channels
import db.reviews
from activities.resources import Resources
from contracts import Publish, Published


@dataclass(frozen=True)
class PublicationActivities:
    resources: Resources

    @activity.defn
    def publish(self, request: Publish) -> Published:
        """Re-checks everything that permits it in its own transaction (design §5)."""
        with self.resources.engine.begin() as connection:
            review = db.reviews.get(connection, request.review_id) if request.review_id else None
            try:
                return db.channels.publish(
                    connection,
                    request.table,
                    request.channel,
                    actor=(review.reviewer if review else None) or "driftline",
                    reason=(review.reason or "approved in review") if review else "gates passed",
                    review_id=request.review_id,
                    run=request.run,
                )
            except db.channels.Refused:
                return Published("revoked", request.channel, request.table)
