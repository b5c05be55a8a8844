"""Looks, at the pace of its schedule, for what no run says, and tells it."""

from temporalio import workflow

from driftline.contracts import WatchInput
from driftline.workflows import policies
from driftline.workflows.notifications import tell

with workflow.unsafe.imports_passed_through():
    from driftline.activities.notifications import NotificationActivities


@workflow.defn
class Watch:
    @workflow.run
    async def run(self, request: WatchInput) -> int:
        """Sends what is overdue; returns the number of notifications."""
        found = await workflow.execute_activity_method(NotificationActivities.look_out, request, **policies.notify)
        for told in found:
            await tell(told)
        return len(found)
