"""Steps that tell people: send one notification, and look for what no run says."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from driftline import embedded
from driftline.activities import messengers
from driftline.activities.resources import Resources
from driftline.contracts import Delivery, Notification, RunIds, Tell, WatchInput
from driftline.db import connection as db_connection
from driftline.db import notifications as db_notifications
from driftline.report import messages, watch

SEND = timedelta(seconds=30)
"""For all targets together; shorter than the step and than the lease of a claim."""
WATCHED = ("FineTune", "RagRefresh", "ShipTable", "KeepCadence", "TrainRecommender", "RunExperiment")
"""Workflows that schedules start, or that people wait for without looking."""
LOOKS_BACK = timedelta(days=1)
"""How long after it happened something is still told: a watch may have been down."""


@dataclass(frozen=True)
class NotificationActivities:
    resources: Resources

    @activity.defn
    async def tell(self, request: Tell) -> None:
        """Starts the workflow that sends a message. What is under way, or was sent, is not sent again."""
        name = f"notify-{request.told.key}"
        with suppress(WorkflowAlreadyStartedError):
            await activity.client().start_workflow("SendNotification", request.told, id=name, task_queue=request.queue)

    @activity.defn
    def notify(self, told: Notification) -> list[Delivery]:
        """Send it to every target that wants it and has not got it. A target that fails is an answer, not an error.

        The claim is committed first. Whoever dies before the result is noted leaves it to the next attempt, once the claim's
        lease has run out: a target gets it at least once, and twice only if a worker died between its answer and the note of it.
        """
        with self.resources.engine.begin() as connection:
            message = messages.message(
                connection, told, self.resources.web_url or embedded.status(self.resources.home).web_address
            )
            targets = self.resources.notify.targets
            wanted = [name for name, target in targets.items() if target.hears(message.event, message.tags)]
            mine = db_notifications.claim(connection, told.key, wanted, message.event, message.level, message.title)
        urls = {name: os.environ.get(targets[name].variable, "") for name in mine}
        if urls:
            made = messengers.send(urls, message, SEND.total_seconds())
            with self.resources.engine.begin() as connection:
                db_notifications.settle(connection, told.key, made)
        with self.resources.engine.connect() as connection:
            return [made for made in db_notifications.deliveries(connection, told.key) if made.target in wanted]

    @activity.defn
    async def look_out(self, request: WatchInput) -> list[Notification]:
        """Lists the messages that no run sends and that nobody has sent yet: late starts, failed runs, what is old or expires."""
        client, now = activity.client(), await asyncio.to_thread(self._now)
        starts = [(name, *found) for name in request.schedules if (found := await _left_out(client, name))]
        failed = await _failed(client, now - LOOKS_BACK)
        return await asyncio.to_thread(self._look_out, starts, failed, now)

    def _now(self) -> datetime:
        with self.resources.engine.connect() as connection:
            return db_connection.now(connection)

    def _look_out(
        self, starts: Sequence[tuple[str, int, int]], failed: Sequence[Notification], now: datetime
    ) -> list[Notification]:
        with self.resources.engine.begin() as connection:
            for schedule, skipped, missed in starts:
                db_notifications.record_starts(connection, schedule, skipped, missed)
            found = [*failed, *watch.overdue(connection, self.resources.notify, now, now - LOOKS_BACK)]
            known = db_notifications.known(connection, [told.key for told in found])
        return [told for told in found if told.key not in known]


async def _left_out(client: Client, schedule: str) -> tuple[int, int] | None:
    """How many starts were skipped and missed since the schedule was made."""
    try:
        info = (await client.get_schedule_handle(schedule).describe()).info
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return info.num_actions_skipped_overlap, info.num_actions_missed_catchup_window


async def _failed(client: Client, since: datetime) -> list[Notification]:
    """Runs that failed without a word of their own, for example because they ran out of time."""
    names = ", ".join(f"'{name}'" for name in WATCHED)
    query = (
        f"WorkflowType IN ({names}) AND ExecutionStatus IN ('Failed', 'TimedOut') AND CloseTime > '{since:%Y-%m-%dT%H:%M:%SZ}'"
    )
    return [
        Notification(
            "run_failed",
            f"run_failed:{run.id}:{run.run_id}",
            RunIds(run.id, run.run_id),
            why="It ran out of time." if run.status == WorkflowExecutionStatus.TIMED_OUT else "Temporal's UI says why.",
        )
        async for run in client.list_workflows(query, limit=100)
    ]
