"""A run that is reset behind its open review can still be decided (on a real dev server: the test server cannot reset)."""

import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import ClosedReview
from tests.workflows.conftest import running
from tests.workflows.resetting import reset
from tests.workflows.steps import BAD, Steps
from tests.workflows.test_review import by_update, verdict, waiting
from tests.workflows.test_runs import FINE_TUNE, start


@pytest.mark.parametrize("step", ["evaluate", "open_gate"])
async def test_a_reset_run_waits_in_the_same_review(dev_server: WorkflowEnvironment, step: str) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(dev_server, steps):
        handle = await start(dev_server, FINE_TUNE)
        before = (await waiting(handle)).review_id
        again = await reset(dev_server.client, handle, step)
        assert (await waiting(again)).review_id == before
        assert (await by_update(again, verdict(before))).accepted
        assert (await again.result()).outcome == "published"
    assert {review.review_id for review in steps.of("open_gate")} == {before}


async def test_a_review_that_was_decided_before_the_reset_stays_decided(dev_server: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(dev_server, steps):
        handle = await start(dev_server, FINE_TUNE)
        await by_update(handle, verdict((await waiting(handle)).review_id, "abort"))
        await handle.result()
        steps.closed = ClosedReview("abort", "ana")
        again = await reset(dev_server.client, handle, "evaluate")
        assert (await again.result()).outcome == "aborted"
    assert "publish" not in steps.names()
