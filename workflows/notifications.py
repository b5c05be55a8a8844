"""Telling people: a run has it done and goes on; it waits for no target, and fails for none."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from driftline.contracts import Delivery, Notification, Tell
from driftline.workflows import policies

with workflow.unsafe.imports_passed_through():
    from driftline.activities.notifications import NotificationActivities

AGAIN = (timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=4))
"""When targets that failed are tried again; longer than the lease of a claim."""


@workflow.defn
class SendNotification:
    """Sends one notification to all targets, and tries those that fail a few times again."""

    @workflow.run
    async def run(self, told: Notification) -> list[Delivery]:
        made: list[Delivery] = []
        for wait in (timedelta(0), *(() if told.event == "test" else AGAIN)):
            if wait:
                await workflow.sleep(wait)
            try:
                made = await workflow.execute_activity_method(NotificationActivities.notify, told, **policies.notify)
            except ActivityError as error:
                workflow.logger.warning("not told: %s", error.cause, extra={"event_told": told.event, "key": told.key})
                return made
            if all(delivery.state == "sent" for delivery in made):
                break
        return made


async def tell(told: Notification) -> None:
    """Have it sent, and go on: the sending outlives the run. What was told before is not told again."""
    if not workflow.patched(f"tell-{told.event}"):
        return
    try:
        await workflow.execute_activity_method(NotificationActivities.tell, Tell(told, policies.NOTIFY), **policies.tell)
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        workflow.logger.warning("not told: %s", error.cause, extra={"key": told.key})
