"""Schedules on a real Temporal: what is skipped, and that it is counted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import ScheduleActionStartWorkflow, ScheduleOverlapPolicy
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import Cadence, Gates, MeasurementInput, WatchInput
from driftline.operations import measurements, runs, schedules
from driftline.operations.context import Context
from driftline.settings import Schedule, Settings
from driftline.workflows import policies
from tests.replay.requests import MEASURE

SKIP, BESIDE = ScheduleOverlapPolicy.SKIP, ScheduleOverlapPolicy.ALLOW_ALL


@pytest.fixture
async def context(dev_server: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Context]:
    target = dev_server.client.service_client.config.target_host
    context = Context(Settings(postgres_url="postgresql://", temporal_address=target, home=tmp_path))
    yield context
    for name in schedules.declared(context.settings):
        await (await context.temporal()).get_schedule_handle(name).delete()


@pytest.mark.parametrize(("supersede", "fine_tune", "refresh"), [("refreshes", SKIP, BESIDE), ("always", BESIDE, BESIDE)])
def test_a_start_is_skipped_only_where_nothing_supersedes(supersede: str, fine_tune: object, refresh: object) -> None:
    declared = schedules.declared(Settings(gates=Gates(supersede=supersede)))  # type: ignore[arg-type]
    overlaps = {name: schedule.policy.overlap for name, schedule in declared.items()}
    assert overlaps == {schedules.FINE_TUNE: fine_tune, schedules.RAG_REFRESH: refresh, schedules.WATCH: SKIP}


@pytest.mark.parametrize("policy", ["fixed", "adaptive"])
def test_the_watch_reads_the_counters_of_whatever_starts_by_itself(policy: str) -> None:
    settings = Settings(cadence=Cadence(policy=policy), schedule=Schedule(recommender=True))  # type: ignore[arg-type]
    declared = schedules.declared(settings)
    action = declared.pop(schedules.WATCH).action
    assert isinstance(action, ScheduleActionStartWorkflow)
    (asked,) = action.args
    assert isinstance(asked, WatchInput)
    assert {*declared} <= {*asked.schedules}
    assert schedules.WATCH not in asked.schedules


async def test_skipped_starts_are_counted(context: Context, dev_server: WorkflowEnvironment) -> None:
    await schedules.apply(context)
    handle = dev_server.client.get_schedule_handle(schedules.FINE_TUNE)
    await handle.trigger()  # no worker takes it: it stays open
    for _ in range(1000):
        if (await handle.describe()).info.running_actions:
            break
        await asyncio.sleep(0.05)
    await handle.trigger(overlap=SKIP)
    for _ in range(1000):
        fine_tune, refresh, watch = await schedules.list_schedules(context)
        if fine_tune.skipped:
            break
        await asyncio.sleep(0.05)
    assert (fine_tune.skipped, fine_tune.missed, refresh.skipped) == (1, 0, 0)
    assert watch.id == schedules.WATCH
    await dev_server.client.get_workflow_handle(fine_tune.running[0]).terminate()


async def test_measurements_are_among_the_runs(context: Context, dev_server: WorkflowEnvironment) -> None:
    await schedules.apply(context)
    asked: MeasurementInput = MEASURE
    name = measurements.workflow_id("drift", asked)
    handle = await dev_server.client.start_workflow("EvaluateDrift", asked, id=name, task_queue=policies.WORKFLOWS)
    for _ in range(1000):
        if name in {run.workflow_id for run in await runs.newest(context)}:
            break
        await asyncio.sleep(0.05)
    assert name in {run.workflow_id for run in await runs.newest(context)}
    await handle.terminate()


async def test_the_recommender_is_scheduled_only_where_that_is_asked_for(context: Context) -> None:
    asked = Context(context.settings.model_copy(update={"schedule": Schedule(recommender=True)}))
    assert (await schedules.apply(asked))[schedules.RECOMMENDER] == "created"
    assert schedules.RECOMMENDER in [found.id for found in await schedules.list_schedules(context)]
    assert (await schedules.apply(context))[schedules.RECOMMENDER] == "removed"
    assert schedules.RECOMMENDER not in await schedules.apply(context)


async def test_an_adaptive_cadence_takes_the_place_of_the_calendars(dev_server: WorkflowEnvironment, tmp_path: Path) -> None:
    target = dev_server.client.service_client.config.target_host
    fixed = Context(Settings(postgres_url="postgresql://", temporal_address=target, home=tmp_path))
    adaptive = Context(fixed.settings.model_copy(update={"cadence": Cadence(policy="adaptive")}))
    handle = dev_server.client.get_schedule_handle
    try:
        assert schedules.CADENCE not in await schedules.apply(fixed)
        changed = await schedules.apply(adaptive)
        assert changed == {
            schedules.FINE_TUNE: "removed",
            schedules.RAG_REFRESH: "removed",
            schedules.CADENCE: "created",
            schedules.WATCH: "updated",
        }
        assert [state.id for state in await schedules.list_schedules(adaptive)] == [schedules.CADENCE, schedules.WATCH]
        assert (await schedules.apply(fixed))[schedules.CADENCE] == "removed"
    finally:
        for name in schedules.declared(fixed.settings):
            await handle(name).delete()
