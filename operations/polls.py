"""Who polls a task queue, as Temporal sees it; and the end of a worker that polls nothing though it could work.

Such a worker looks alive to everything that only asks whether its process is there.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import MetricMeter
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

EVERY = timedelta(seconds=10)
SILENT = timedelta(seconds=100)
"""Temporal ends a poll that gets nothing after a minute, and the next one begins."""
POLLS = "driftline_worker_polls"
log = logging.getLogger("driftline.polls")


@dataclass(frozen=True)
class Queue:
    """What a worker polls.

    Of workflows, it is the queue that all workers share: one poll at least is always there, however many wait at the worker's own
    (sticky) queue, and a task of a workflow holds its slot for seconds at most. Nothing excuses that it is not polled.

    Attributes:
        slots: activities that are taken at once; None for workflows.
    """

    name: str
    slots: int | None = None

    @property
    def kind(self) -> str:
        return "workflow" if self.slots is None else "activity"


async def last_polls(client: Client, queue: Queue) -> dict[str, int]:
    """Identity of each worker that polls the queue → when its last poll began, in milliseconds of Temporal's clock."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue.name),
        task_queue_type=TaskQueueType.Value(f"TASK_QUEUE_TYPE_{queue.kind.upper()}"),
    )
    reply = await client.workflow_service.describe_task_queue(request, timeout=EVERY)
    return {poller.identity: poller.last_access_time.ToMilliseconds() for poller in reply.pollers}


class Busy(Interceptor):
    """Counts the activities that run, by task queue: a worker whose slots are taken does not poll."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Counted(next, self.running)


class _Counted(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, running: Counter[str]) -> None:
        super().__init__(next)
        self.running = running

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        queue = activity.info().task_queue
        self.running[queue] += 1
        try:
            return await super().execute_activity(input)
        finally:
            self.running[queue] -= 1


async def silence(
    client: Client,
    queues: Sequence[Queue],
    busy: Busy,
    meter: MetricMeter,
    identity: str,
    draining: Callable[[], bool] = lambda: False,
) -> Queue:
    """Waits for a task queue that this worker has not polled for SILENT though it had a free slot and was not asked to stop;
    returns it.

    A poll is new if its time is another than that of the one before: whether Temporal's clock and this machine's agree, and
    whether one of them is set meanwhile, does not matter.

    While the server does not answer, the gauge `driftline_worker_polls` goes to 0 and the worker stays. All queues are asked at
    once: so it goes to 0 within SILENT and two times EVERY, whatever hangs.

    Args:
        identity: of the worker's own client.
        draining: whether the worker was asked to stop: it polls nothing then, for as long as its activities take.
    """
    gauge = meter.create_gauge(POLLS, "1 if Temporal has seen this worker poll lately, or its slots are taken; else 0")
    heard, newest = dict.fromkeys(queues, time.monotonic()), dict[Queue, int]()

    async def ask(queue: Queue) -> bool:
        """Notes when a queue was polled last. Returns whether Temporal has answered."""
        asked = time.monotonic()
        try:
            polled, answered = (await last_polls(client, queue)).get(identity), True
        except RPCError as error:
            polled, answered = None, False
            log.warning("Temporal does not say who polls %s: %s", queue.name, error.status.name)
        taken = queue.slots is not None and busy.running[queue.name] >= queue.slots
        if draining() or taken or polled not in (None, newest.get(queue)):
            heard[queue] = asked
        if polled is not None:
            newest[queue] = polled
        return answered

    while True:
        answered = await asyncio.gather(*map(ask, queues))
        silent = {queue: time.monotonic() - heard[queue] > SILENT.total_seconds() for queue in queues}
        for queue, found in silent.items():
            gauge.set(int(not found), {"task_queue": queue.name, "task_type": queue.kind})
        for queue, heard_of in zip(queues, answered, strict=True):
            if silent[queue] and heard_of:
                return queue
        await asyncio.sleep(EVERY.total_seconds())


def watch(
    connect: Callable[[], Awaitable[Client]],
    silent: Callable[[Client], Awaitable[Queue]],
    found: Callable[[Queue], None],
    grace: timedelta,
) -> None:
    """Waits in a thread with a client of its own, so that a loop that hangs is noticed, too.

    Args:
        connect: makes that client.
        silent: `silence` of this worker.
        found: is called with the queue, and should end the worker.
        grace: after that the process is ended with 1.
    """

    async def wait() -> None:
        queue = await silent(await connect())
        log.error("this worker has not polled %s for %d s and ends", queue.name, SILENT.total_seconds())
        found(queue)
        await asyncio.sleep(grace.total_seconds())
        os._exit(1)

    Thread(target=lambda: asyncio.run(wait()), name="polls", daemon=True).start()
