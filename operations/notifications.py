"""Notifications: whom the workers tell, tried out, and what was told."""

import asyncio
import uuid

from temporalio.client import WorkflowFailureError

from driftline.contracts import Delivery, Notification
from driftline.db import notifications as db_notifications
from driftline.db.notifications import Told
from driftline.operations.context import Context, Unreachable
from driftline.workflows import policies
from driftline.workflows.notifications import SendNotification

ANSWER_SECONDS = 90.0


async def test(context: Context) -> list[Delivery]:
    """Send a message to every target of the workers of role `notify`, by their settings and from their environment.

    Raises:
        Unreachable: no such worker answers.
    """
    client, name = await context.temporal(), str(uuid.uuid4())
    handle = await client.start_workflow(
        SendNotification.run, Notification("test", f"test:{name}"), id=f"notify-test-{name}", task_queue=policies.NOTIFY
    )
    try:
        return await asyncio.wait_for(handle.result(), ANSWER_SECONDS)
    except WorkflowFailureError as error:
        raise Unreachable(f"it could not be sent: {error.cause}") from None
    except TimeoutError:
        await handle.terminate("nobody took it")
        raise Unreachable("no worker of the role `notify` answered: see `driftline status`") from None


def newest(context: Context, limit: int) -> list[Told]:
    """Notifications, newest first."""
    with context.engine.connect() as connection:
        return db_notifications.newest(connection, limit)
