"""Both doors of a review take anything and stay open: a slip, a hostile value or a refusal changes nothing and jams nothing."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import ClosedReview, RunStatus
from tests.workflows.conftest import running
from tests.workflows.steps import BAD, Steps
from tests.workflows.test_review import by_update, until, verdict, waiting
from tests.workflows.test_runs import FINE_TUNE, Handle, start

NOT_JSON = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{gate"))
UNKNOWN = RawValue(Payload(metadata={"encoding": b"binary/strange"}, data=b"\x00\xff"))
SURROGATE = RawValue(
    Payload(
        metadata={"encoding": b"json/plain"},
        data=b'{"gate_id": "x", "decision": "approve", "reviewer": "a", "reason": "\\ud800"}',
    )
)


def malformed(gate: str | None) -> list[tuple[Any, ...]]:
    """Arguments of a signal, each of them a slip or an attack."""
    good = verdict(gate)
    return [
        (),
        (good, good),
        (good, "approve", 3),
        (None,),
        ("approve",),
        ([good],),
        (NOT_JSON,),
        (UNKNOWN,),
        (SURROGATE,),
        (good | {"reason": "a\0b"},),
        (good | {"reviewer": "a\0b"},),
        (good | {"reviewer": "   "},),
        (good | {"reviewer": "ana\u202egro.elpmaxe"},),
        (good | {"reviewer": "a" * 201},),
        (good | {"reason": "two\nlines"},),
        (good | {"reason": "\x1b[2J"},),
        (good | {"reason": "x" * 1_500_000},),
        (good | {"gate_id": "x" * 1_500_000},),
        (good | {"decision": "expired"},),
        (good | {"decision": "y" * 1_500_000},),
    ]


async def test_no_signal_jams_a_run_or_its_query(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        sent = malformed(gate)
        for args in sent:
            await handle.signal("verdict", args=args)
        await handle.signal("Verdict", verdict(gate))
        status = await until(handle, lambda s: any("unknown signal 'Verdict'" in note for note in s.ignored_verdicts))
        assert len(status.ignored_verdicts) == 20
        assert all(note.isprintable() and len(note) < 600 for note in status.ignored_verdicts)
        assert [note.startswith("malformed") for note in status.ignored_verdicts] == [True] * 19 + [False]
        assert status.review_id == gate
        assert not steps.of("record_verdict")
        assert (await by_update(handle, verdict(gate))).accepted
        assert (await handle.result()).outcome == "published"


async def test_no_update_jams_a_run(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        for args in malformed(gate):
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update("verdict", args=args)
        assert (await by_update(handle, {**verdict(None), "review_id": gate} | {"gate_id": gate})).accepted
        assert (await handle.result()).outcome == "published"
    assert len(steps.of("record_verdict")) == 1


async def test_a_verdict_is_stripped_and_may_name_its_review_either_way(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        await handle.signal("verdict", {"review_id": f" {gate} ", "decision": "abort", "reviewer": " Ana Ünal\n", "reason": ""})
        assert (await handle.result()).outcome == "aborted"
    (stored,) = steps.of("record_verdict")
    assert (stored.review_id, stored.reviewer) == (gate, "Ana Ünal")


@pytest.mark.parametrize("kind", ["DataError", "IntegrityError", "BadInput"])
async def test_a_verdict_that_postgres_refuses_frees_the_review_at_once(time_skipping: WorkflowEnvironment, kind: str) -> None:
    steps = Steps(evaluations=[BAD], refuse_verdict=ApplicationError("cannot be stored", type=kind))
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        refused = await by_update(handle, verdict(gate, "abort", "ana"))
        assert not refused.accepted
        assert "could not be stored" in refused.message
        steps.refuse_verdict = None
        assert (await by_update(handle, verdict(gate, "approve", "ben"))).accepted
        assert (await handle.result()).outcome == "published"
    assert [v.reviewer for v in steps.of("record_verdict")] == ["ana", "ben"]  # refused once, and not tried again


async def test_what_touches_a_verdict_is_tried_again_within_a_minute(time_skipping: WorkflowEnvironment) -> None:
    """A worker that dies inside one of these is noticed only by this time-out."""
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        assert (await by_update(handle, verdict((await waiting(handle)).review_id))).accepted
        await handle.result()
        limits = {step: limit async for step, limit in _limits(handle)}
    assert {"open_gate", "record_verdict", "publish"} <= limits.keys()
    assert all(limits[step] <= timedelta(seconds=60) for step in ("open_gate", "record_verdict", "publish"))


async def _limits(handle: Handle) -> Any:
    async for event in handle.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            yield scheduled.activity_type.name, scheduled.start_to_close_timeout.ToTimedelta()


@pytest.mark.parametrize(("decision", "outcome"), [("approve", "published"), ("abort", "aborted"), ("expired", "expired")])
async def test_a_review_that_expires_obeys_the_verdict_that_postgres_has(
    time_skipping: WorkflowEnvironment, decision: Any, outcome: str
) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await waiting(handle)
        steps.closed = ClosedReview(decision, "ana")
        assert (await handle.result()).outcome == outcome
    assert ("publish" in steps.names()) == (decision == "approve")


async def test_a_review_that_postgres_has_closed_is_closed(time_skipping: WorkflowEnvironment) -> None:
    """Whoever sends a verdict is told no, and the run ends as Postgres has it instead of waiting on."""
    steps = Steps(evaluations=[BAD], store_verdict=False)
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        steps.closed = ClosedReview("abort", "ben")
        assert "another verdict" in (await by_update(handle, verdict(gate))).message
        assert (await handle.result()).outcome == "aborted"
    assert "publish" not in steps.names()


async def test_a_run_hears_that_postgres_has_a_verdict(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD])
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        gate = (await waiting(handle)).review_id
        await handle.signal("decided")  # a false alarm
        await until(handle, lambda _: len(steps.of("closed_review")) == 1)
        status: RunStatus = await handle.query("status", result_type=RunStatus)
        assert status.review_id == gate
        steps.closed = ClosedReview("approve", "ana")
        await handle.signal("decided")
        assert (await handle.result()).outcome == "published"


@pytest.mark.parametrize("way", ["Postgres", "signal", "update"])
async def test_what_is_said_of_a_review_while_it_is_being_opened_is_heard(time_skipping: WorkflowEnvironment, way: str) -> None:
    steps = Steps(evaluations=[BAD], hold_open=asyncio.Event())
    async with running(time_skipping, steps):
        handle = await start(time_skipping, FINE_TUNE)
        await steps.reached("open_gate")
        (opened,) = steps.of("open_gate")
        updated = None
        if way == "Postgres":
            steps.closed = ClosedReview("abort", "ana")
            await handle.signal("decided")
        elif way == "signal":
            await handle.signal("verdict", verdict(opened.review_id, "abort"))
        else:
            updated = asyncio.create_task(by_update(handle, verdict(opened.review_id, "abort")))
        await asyncio.sleep(0.5)  # nothing tells from outside that the run has seen what was said
        assert steps.hold_open
        steps.hold_open.set()
        assert (await handle.result()).outcome == "aborted"
        assert updated is None or (await updated).accepted
    assert [each.event for each in steps.told] == ["review_opened", "aborted"]
