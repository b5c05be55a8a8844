"""The gate under test: both doors, every kind of wrong verdict, reminders, expiry and races (design §4)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import RunStatus, VerdictReply
from tests.workflows.conftest import running
from tests.workflows.steps import BAD, GOOD, Steps
from tests.workflows.test_runs import FINE_TUNE, Handle, start


async def waiting(handle: Handle) -> RunStatus:
    """The run's status once its gate is open."""
    return await until(handle, lambda status: status.review_id is not None)


async def until(handle: Handle, met: Callable[[RunStatus], bool]) -> RunStatus:
    for _ in range(2000):
        status: RunStatus = await handle.query("status", result_type=RunStatus)
        if met(status):
            return status
        await asyncio.sleep(0.05)
    raise AssertionError(f"never met: {status}")


def verdict(gate: str | None, decision: str = "approve", reviewer: str = "ana") -> dict[str, str | None]:
    return {"gate_id": gate, "decision": decision, "reviewer": reviewer, "reason": "looked at it"}


async def by_update(handle: Handle, raw: object) -> VerdictReply:
    reply: VerdictReply = await handle.execute_update("verdict", raw, result_type=VerdictReply)
    return reply


@pytest.mark.parametrize("door", ["update", "signal"])
async def test_approve_publishes_through_both_doors(time_skipping: WorkflowEnvironment, door: str) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        status = await waiting(handle)
        assert "publish" not in steps.names()
        assert status.evaluation == BAD
        if door == "update":
            assert (await by_update(handle, verdict(status.review_id))).accepted
        else:
            await handle.signal("verdict", verdict(status.review_id))
        outcome = await handle.result()
    assert outcome.outcome == "published"
    assert steps.names().index("record_verdict") < steps.names().index("publish")
    assert steps.of("publish")[0].review_id == status.review_id


async def test_abort_ends_the_run_and_publishes_nothing(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await by_update(handle, verdict((await waiting(handle)).review_id, "abort"))
        assert (await handle.result()).outcome == "aborted"
    assert "publish" not in steps.names()


async def test_rerun_curates_and_trains_again_with_another_seed(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD, GOOD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await by_update(handle, verdict((await waiting(handle)).review_id, "rerun"))
        outcome = await handle.result()
    assert (outcome.outcome, outcome.attempts, outcome.table) == ("published", 2, 12)
    assert [request.training.seed for request in steps.of("train")] == [0, 1]
    assert len(steps.of("curate_samples")) == 2
    assert len(steps.of("count_triples")) == 2


async def test_wrong_verdicts_change_nothing_and_are_visible(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD, BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        first = (await waiting(handle)).review_id
        with pytest.raises(WorkflowUpdateFailedError) as malformed:
            await by_update(handle, {"decision": "approve"})
        assert "gate_id" in str(malformed.value.cause)
        await handle.signal("verdict", "approve")
        await handle.signal("verdict", verdict(first, "perhaps"))
        await handle.signal("verdict")
        await until(handle, lambda s: len(s.ignored_verdicts) == 3)  # an update may overtake a signal
        assert "foreign" in (await by_update(handle, verdict("000000000000"))).message
        assert (await by_update(handle, verdict(first, "rerun"))).accepted
        second = (await until(handle, lambda s: s.review_id not in (None, first))).review_id
        assert second != first
        assert "stale" in (await by_update(handle, verdict(first))).message
        status = await handle.query("status", result_type=RunStatus)
        assert status.review_id == second
        assert [note.split()[0].rstrip(":") for note in status.ignored_verdicts] == [
            *(["malformed"] * 3),
            "foreign",
            "stale",
        ]
        await by_update(handle, verdict(second, "abort"))
        await handle.result()
    assert [v.decision for v in steps.of("record_verdict")] == ["rerun", "abort"]
    assert "publish" not in steps.names()


async def test_a_candidate_that_the_record_holds_back_is_reviewed_though_every_gate_passed(
    time_skipping: WorkflowEnvironment,
) -> None:
    """A person's newest verdict is against the table: gates that pass do not overrule it."""
    steps = Steps(evaluations=[replace(GOOD, review_required=True)])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await by_update(handle, verdict((await waiting(handle)).review_id, "abort"))
        assert (await handle.result()).outcome == "aborted"
    assert "publish" not in steps.names()


async def test_an_approval_is_revoked_before_it_is_published(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD], hold_publication=asyncio.Event())
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        assert "nothing to revoke" in (await by_update(handle, verdict(gate, "revoke"))).message
        assert (await by_update(handle, verdict(gate, "approve"))).accepted
        await until(handle, lambda _: "publish" in steps.names())
        await handle.signal("verdict", verdict(gate, "revoke", "ben"))
        await until(handle, lambda _: len(steps.of("record_verdict")) == 2)
        steps.publication = "revoked"  # as Postgres answers then
        assert steps.hold_publication
        steps.hold_publication.set()
        assert (await handle.result()).outcome == "revoked"
    assert [told.event for told in steps.told] == ["review_opened", "revoked"]
    assert [(v.decision, v.reviewer) for v in steps.of("record_verdict")] == [("approve", "ana"), ("revoke", "ben")]


async def test_of_two_verdicts_at_once_the_first_counts(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD], hold_verdict=asyncio.Event())
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        first = asyncio.create_task(by_update(handle, verdict(gate, "abort", "ana")))
        while not steps.of("record_verdict"):
            await asyncio.sleep(0.05)
        second = asyncio.create_task(by_update(handle, verdict(gate, "approve", "ben")))
        assert steps.hold_verdict
        steps.hold_verdict.set()
        assert (await first).accepted
        assert not (await second).accepted
        assert "abort' on review" in (await second).message or "abort by ana" in (await second).message
        assert (await handle.result()).outcome == "aborted"


async def test_a_verdict_that_postgres_refuses_does_not_act(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD], store_verdict=False)
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        assert not (await by_update(handle, verdict(gate))).accepted
        assert (await handle.query("status", result_type=RunStatus)).review_id == gate
        await handle.terminate()
    assert "publish" not in steps.names()


async def test_an_unanswered_gate_reminds_then_expires(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    gates = replace(FINE_TUNE.gates, remind_every=timedelta(days=2), expire_after=timedelta(days=7))
    async with running(time_skipping, steps):
        handle = await start(time_skipping, replace(FINE_TUNE, gates=gates))
        outcome = await handle.result()
        timers = [e async for e in handle.fetch_history_events() if e.HasField("timer_fired_event_attributes")]
    assert outcome.outcome == "expired"
    assert len(timers) == 4  # after 2, 4, 6 and 7 days
    assert len(steps.of("expire_gate")) == 1
    assert "publish" not in steps.names()
