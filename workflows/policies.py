"""Where each step runs, how long it may take and how it is retried: the only place that says so.

Retries are bounded by time and not by count, because a deploy of a worker costs an attempt. What cannot succeed the next time
(`BadInput`) is not retried.
"""

from dataclasses import replace
from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityConfig

WORKFLOWS = "driftline-workflows"
CPU = "driftline-cpu"
DB = "driftline-db"
TRAIN = "driftline-train"
GENERATE = "driftline-generate"
NOTIFY = "driftline-notify"

_hopeless = ["BadInput", "NotPublishable", "DataError"]  # the last is Postgres refusing a value
_retry = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(minutes=1),
    non_retryable_error_types=_hopeless,
)
_alive = timedelta(seconds=60)

record = ActivityConfig(
    task_queue=DB,
    start_to_close_timeout=timedelta(seconds=45),
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=_retry,
)
"""A short transaction. It outlasts a night without Postgres, and is begun again within a minute after its worker died."""

verdict = ActivityConfig(
    task_queue=DB,
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=10),
    retry_policy=replace(_retry, non_retryable_error_types=[*_hopeless, "IntegrityError"]),
)
"""Storing a verdict: whoever gave it waits for the answer, and a review whose verdict cannot be stored takes another."""

store = ActivityConfig(
    task_queue=DB,
    start_to_close_timeout=timedelta(minutes=10),
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=_retry,
)
"""Copying a table's rows into Postgres."""

compute = ActivityConfig(
    task_queue=CPU,
    start_to_close_timeout=timedelta(hours=6),
    schedule_to_close_timeout=timedelta(days=1),
    heartbeat_timeout=_alive,
    retry_policy=_retry,
)
"""A scan or a computation in the worker's own process, or the embedding of a catalogue."""

measure = ActivityConfig(
    task_queue=CPU,
    start_to_close_timeout=timedelta(hours=1),
    schedule_to_close_timeout=timedelta(hours=2),
    heartbeat_timeout=_alive,
    retry_policy=_retry,
)
"""Evidence beside a candidate: it may come late, but a run does not wait for it for long."""

train = ActivityConfig(
    task_queue=TRAIN,
    start_to_close_timeout=timedelta(days=2),
    schedule_to_close_timeout=timedelta(days=4),
    heartbeat_timeout=_alive,
    retry_policy=_retry,
)

generate = ActivityConfig(
    task_queue=GENERATE,
    start_to_close_timeout=timedelta(days=1),
    schedule_to_close_timeout=timedelta(days=2),
    heartbeat_timeout=_alive,
    retry_policy=_retry,
)

tell = ActivityConfig(
    task_queue=DB,
    start_to_close_timeout=timedelta(seconds=15),
    schedule_to_close_timeout=timedelta(minutes=1),
    retry_policy=_retry,
)
"""Having people told: a run waits no longer than this for it."""

notify = ActivityConfig(
    task_queue=NOTIFY,
    start_to_close_timeout=timedelta(minutes=1),
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=_retry,
)
"""Sending, and looking for what is to be sent. No run waits for it."""
