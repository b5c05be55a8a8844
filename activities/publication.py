"""Step: move a channel's pointer to a table."""

from dataclasses import dataclass

from temporalio import activity

from driftline.activities.resources import Resources
from driftline.contracts import Publish, Published
from driftline.db import channels as db_channels
from driftline.db import reviews as db_reviews


@dataclass(frozen=True)
class PublicationActivities:
    resources: Resources

    @activity.defn
    def publish(self, request: Publish) -> Published:
        """Re-checks everything that permits it in its own transaction (design §5)."""
        with self.resources.engine.begin() as connection:
            review = db_reviews.get(connection, request.review_id) if request.review_id else None
            try:
                return db_channels.publish(
                    connection,
                    request.table,
                    request.channel,
                    actor=(review.reviewer if review else None) or "driftline",
                    reason=(review.reason or "approved in review") if review else "gates passed",
                    review_id=request.review_id,
                    run=request.run,
                )
            except db_channels.NotApproved:
                return Published("revoked", request.channel, request.table)
