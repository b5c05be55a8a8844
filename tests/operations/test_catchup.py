"""Temporal is killed (`kill -9`) over a schedule's tick, and comes back: the start is made up for, or is said to be missed."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.client import Client, ScheduleInfo, ScheduleIntervalSpec, ScheduleSpec
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from driftline import embedded, temporal_client
from driftline.activities import notifications
from driftline.activities.notifications import NotificationActivities
from driftline.activities.resources import Resources
from driftline.contracts import WatchInput
from driftline.db import connection
from driftline.operations import schedules
from driftline.settings import Schedule, Settings
from tests.clock import off_by

SHORTEST = timedelta(seconds=10)
"""The least that `schedule.catchup` and Temporal allow."""
SOON = timedelta(seconds=12)
HOUR = timedelta(hours=1)
INSIDE, OUTSIDE = schedules.FINE_TUNE, schedules.RAG_REFRESH


@pytest.fixture
def home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="driftline-catchup-"))
    yield home
    embedded.stop(home)
    shutil.rmtree(home)


async def connected(home: Path) -> Client:
    state = await asyncio.to_thread(embedded.up, home, postgres=False)
    return await temporal_client.connect(Settings(temporal_address=state.temporal_address), Runtime.default())


def kill(home: Path) -> None:
    process = embedded.status(home).temporal
    assert process
    doorman = psutil.Process(process.pid)
    for each in [*doorman.children(recursive=True), doorman]:
        each.kill()
    psutil.wait_procs([doorman], timeout=10)


async def counted(client: Client, name: str) -> ScheduleInfo:
    return (await client.get_schedule_handle(name).describe()).info


@pytest.mark.long
async def test_a_start_is_made_up_for_within_the_catchup_and_missed_after_it(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connected(home)
    tick = datetime.now(UTC) + SOON
    into_the_hour = timedelta(seconds=tick.timestamp() % HOUR.total_seconds())
    at = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=HOUR, offset=into_the_hour)])
    for name, catchup in ((INSIDE, HOUR), (OUTSIDE, SHORTEST)):
        declared = schedules.declared(Settings(schedule=Schedule(catchup=catchup)))[name]
        await client.create_schedule(name, replace(declared, spec=at))
        assert (await counted(client, name)).next_action_times[0] < tick + timedelta(seconds=1)  # it has begun to run
    kill(home)
    assert datetime.now(UTC) < tick, "the tick was before the kill"
    await asyncio.sleep((tick + 1.2 * SHORTEST - datetime.now(UTC)).total_seconds())

    client = await connected(home)
    while True:
        with suppress(RPCError):  # it answers before it has found its workflows again
            inside, outside = await counted(client, INSIDE), await counted(client, OUTSIDE)
            if all(each.num_actions or each.num_actions_missed_catchup_window for each in (inside, outside)):
                break
        await asyncio.sleep(0.2)
    assert (inside.num_actions, inside.num_actions_missed_catchup_window) == (1, 0)
    assert (outside.num_actions, outside.num_actions_missed_catchup_window) == (0, 1)
    (made_up,) = inside.recent_actions
    assert abs(made_up.scheduled_at - tick) < timedelta(seconds=2)
    assert made_up.started_at - tick > SHORTEST

    engine = connection.connect(postgres_url)
    monkeypatch.setattr(notifications, "datetime", off_by(timedelta(days=10)))  # whose clock that is does not matter
    watch = NotificationActivities(Resources(engine, home))
    said = await ActivityEnvironment(client=client).run(watch.look_out, WatchInput((INSIDE, OUTSIDE)))
    engine.dispose()
    assert [told.why for told in said] == [f"{OUTSIDE} missed 1: Temporal was down for longer than schedule.catchup."]
