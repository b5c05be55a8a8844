"""When an experiment is measured, what a bad day and a stop do to it, and that nothing is shipped but by a verdict."""

import asyncio
from datetime import UTC, timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import (
    Experiment,
    ExperimentInput,
    ExperimentOutcome,
    ExperimentStatus,
    Gates,
    Metric,
    RunOutcome,
    ShipInput,
)
from driftline.workflows import policies
from tests.workflows.conftest import running
from tests.workflows.steps import Steps
from tests.workflows.test_review import verdict, waiting

DELAY = timedelta(hours=6)


async def started(environment: WorkflowEnvironment, since: int, days: int = 5) -> WorkflowHandle[Any, ExperimentOutcome]:
    """An experiment that began so many days ago."""
    now = await environment.get_current_time()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = Experiment(exposures="e.parquet", metrics={"liked": Metric("liked")}, days=days, delay=DELAY)
    request = ExperimentInput("rag", asked, midnight - timedelta(days=since), {"control": 1.0, "treatment": 1.0}, "salt")
    return await environment.client.start_workflow(
        "RunExperiment", request, id=uuid4().hex, task_queue=policies.WORKFLOWS, result_type=ExperimentOutcome
    )


async def test_each_day_is_measured_once_it_is_whole(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        outcome = await (await started(time_skipping, since=-1, days=3)).result()
    assert outcome == ExperimentOutcome("completed", 3, 3)
    assert [asked.days for asked in steps.of("measure_experiment")] == [1, 2, 3]
    (ended,) = steps.of("end_experiment")
    assert (ended.outcome, ended.reason) == ("completed", "measured for 3 of 3 days")


async def test_days_that_lie_in_the_past_take_one_measurement(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        outcome = await (await started(time_skipping, since=30, days=5)).result()
    assert outcome == ExperimentOutcome("completed", 5, 1)
    assert [asked.days for asked in steps.of("measure_experiment")] == [5]


async def test_a_day_that_cannot_be_measured_ends_nothing_and_the_last_is_tried_again(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(bad_days=(2,))
    async with running(time_skipping, steps):
        handle = await started(time_skipping, since=-1, days=3)
        outcome = await handle.result()
        status = await handle.query("status", result_type=ExperimentStatus)
    assert outcome == ExperimentOutcome("completed", 3, 3)
    assert [asked.days for asked in steps.of("measure_experiment")] == [1, 2, 3]
    assert status.stage == "completed"
    steps = Steps(bad_days=(2,))
    async with running(time_skipping, steps):
        handle = await started(time_skipping, since=-1, days=2)
        outcome = await handle.result()
        status = await handle.query("status", result_type=ExperimentStatus)
    assert outcome == ExperimentOutcome("completed", 1, 1)
    assert [asked.days for asked in steps.of("measure_experiment")] == [1] + [2] * 8
    assert "day 2 was not measured: BadInput: no file matches" in status.trouble


async def test_a_stop_ends_it_with_what_was_measured(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        handle = await started(time_skipping, since=2, days=300)
        while not steps.of("measure_experiment"):
            await asyncio.sleep(0.05)
        await handle.signal("halt", 1)
        await handle.signal("stop", {"by": "ana"})
        outcome = await handle.result()
    assert (outcome.outcome, outcome.days >= 1) == ("stopped", True)
    assert steps.of("end_experiment")[0].outcome == "stopped"


async def test_shipping_waits_for_a_verdict_though_every_gate_passed(time_skipping: WorkflowEnvironment) -> None:
    for decision, outcome in (("approve", "published"), ("abort", "aborted")):
        steps = Steps()
        async with running(time_skipping, steps):
            handle = await time_skipping.client.start_workflow(
                "ShipTable",
                ShipInput("rag", "treatment", "default", Gates()),
                id=uuid4().hex,
                task_queue=policies.WORKFLOWS,
                result_type=RunOutcome,
            )
            waits = await waiting(handle)
            assert not steps.of("publish")
            assert waits.review_id
            await handle.signal("verdict", verdict(waits.review_id, decision))
            assert (await handle.result()).outcome == outcome
        published = steps.of("publish")
        assert [(p.table, p.channel, p.review_id) for p in published] == (
            [(41, "default", waits.review_id)] if decision == "approve" else []
        )
