"""Postgres is away for hours: a step is tried until it is back, by Temporal's clock."""

from datetime import datetime, timedelta
from itertools import pairwise

from temporalio import activity
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import Publish, Published
from driftline.db import connection
from tests.workflows.conftest import running
from tests.workflows.steps import Steps
from tests.workflows.test_runs import FINE_TUNE, start

NOBODY = "postgresql://nobody@127.0.0.1:1/none"
AWAY = timedelta(hours=2)
BESIDE = {"write_report", "tell"}


async def test_a_run_outlasts_hours_without_postgres(time_skipping: WorkflowEnvironment) -> None:
    """In its last step; and each one is tried for a day, but for those without which a run goes on."""
    postgres, tries = connection.connect(NOBODY), list[datetime]()

    @activity.defn
    def publish(request: Publish) -> Published:
        tries.append(activity.info().started_time)
        if tries[-1] - tries[0] < AWAY:
            postgres.connect()  # OperationalError
        return Published("published", request.channel, request.table)

    async with running(time_skipping, Steps(real=[publish])):
        handle = await start(time_skipping, FINE_TUNE)
        assert (await handle.result()).outcome == "published"
    assert tries[-1] - tries[0] >= AWAY
    assert max(later - sooner for sooner, later in pairwise(tries)) < timedelta(minutes=2)
    steps = [event.activity_task_scheduled_event_attributes async for event in handle.fetch_history_events()]
    tried_for = {step.activity_type.name: step.schedule_to_close_timeout.ToTimedelta() for step in steps if step.activity_id}
    assert {"publish", *BESIDE} <= {*tried_for}
    assert {name for name, limit in tried_for.items() if limit < timedelta(days=1)} == BESIDE
    assert {step.retry_policy.maximum_attempts for step in steps} == {0}
