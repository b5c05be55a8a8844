"""A day of the cadence: it measures, decides, and starts what was decided without waiting for it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from pydantic import TypeAdapter
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import NEWEST_RULE, Action, CadenceDecision, CadenceInput, RunOutcome
from driftline.workflows import policies
from tests.replay.requests import CADENCE, NOMINAL
from tests.workflows.conftest import running, start_time_skipping
from tests.workflows.steps import Steps


@pytest.fixture(scope="module")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """One of its own: time stands still for whoever comes after a child that was left to itself."""
    async with start_time_skipping() as environment:
        yield environment


async def decided(environment: WorkflowEnvironment, steps: Steps) -> CadenceDecision:
    made: CadenceDecision = await environment.client.execute_workflow(
        "KeepCadence", CADENCE, id=uuid4().hex, task_queue=policies.WORKFLOWS, result_type=CadenceDecision
    )
    return made


@pytest.mark.parametrize(
    ("action", "steps_of_update"), [("counts", "answer_pairs"), ("rag_refresh", "render_prompts"), ("fine_tune", "train")]
)
async def test_what_was_decided_is_started_for_the_same_day(
    time_skipping: WorkflowEnvironment, action: Action, steps_of_update: str
) -> None:
    steps = Steps(action=action)
    name = f"driftline-{action.replace('_', '-')}-{NOMINAL:%Y-%m-%d}"
    async with running(time_skipping, steps):
        assert (await decided(time_skipping, steps)).action == action
        outcome: RunOutcome = await time_skipping.client.get_workflow_handle(name, result_type=RunOutcome).result()

    assert outcome.outcome == "published"
    assert steps.names()[:2] == ["measure_day", "decide_day"]
    assert steps.of("measure_day")[0].nominal == NOMINAL
    assert {store.nominal for store in steps.of("store_table")} == {NOMINAL}
    assert steps.of(steps_of_update)


async def test_a_day_that_cannot_be_measured_is_decided_too(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(refuses="measure_day")
    async with running(time_skipping, steps):
        assert (await decided(time_skipping, steps)).action == "none"

    (asked,) = steps.of("decide_day")
    assert asked.measured is None
    assert asked.nominal == replace(CADENCE).nominal
    assert steps.names() == ["measure_day", "decide_day"]


async def test_a_day_is_decided_by_the_rule_of_its_schedule(time_skipping: WorkflowEnvironment) -> None:
    """An input of before there was a second rule names none, and goes on by the first."""
    of_old = TypeAdapter(CadenceInput).dump_python(CADENCE, mode="json")
    del of_old["rule"]
    for asked, rule in ((of_old, 1), (replace(CADENCE, rule=NEWEST_RULE), NEWEST_RULE)):
        steps = Steps()
        async with running(time_skipping, steps):
            await time_skipping.client.execute_workflow("KeepCadence", asked, id=uuid4().hex, task_queue=policies.WORKFLOWS)
        assert steps.of("decide_day")[0].rule == rule
