"""What each update does, in which order, and what windows it asks for."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import (
    ClosedReview,
    Clusters,
    Counting,
    FineTuneInput,
    Gates,
    RagRefreshInput,
    Retrieval,
    RunOutcome,
    Source,
    Window,
    Windows,
)
from driftline.workflows import policies
from tests.workflows.conftest import running
from tests.workflows.steps import BAD, Steps

NOMINAL = datetime(2017, 11, 27, 3, tzinfo=UTC)
FINE_TUNE = FineTuneInput(Source(), Windows(90, 28), nominal=NOMINAL)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


Handle = WorkflowHandle[Any, RunOutcome]


async def start(environment: WorkflowEnvironment, request: FineTuneInput | RagRefreshInput) -> Handle:
    workflow = "FineTune" if isinstance(request, FineTuneInput) else "RagRefresh"
    return await environment.client.start_workflow(
        workflow, request, id=uuid4().hex, task_queue=policies.WORKFLOWS, result_type=RunOutcome
    )


async def test_fine_tune_goes_from_counts_to_publication(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        outcome = await (await start(time_skipping, FINE_TUNE)).result()
    assert (outcome.outcome, outcome.table, outcome.model, outcome.attempts) == ("published", 11, 1, 1)
    assert steps.names() == [
        "resolve_cluster_set",
        "count_triples",
        "count_triples",
        "render_prompts",
        "curate_samples",
        "train",
        "generate_mapping",
        "store_table",
        "measure_quality",
        "write_report",
        "evaluate",
        "publish",
    ]


async def test_a_validation_window_is_counted_and_handed_to_training(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    request = replace(FINE_TUNE, windows=Windows(90, 28, 14))
    async with running(time_skipping, steps):
        await (await start(time_skipping, request)).result()
    counted = {number: r.window for number, r in enumerate(steps.of("count_triples"), start=1)}
    assert {(window.start, window.end) for window in counted.values()} == {
        (day("2017-08-01"), day("2017-10-16")),
        (day("2017-10-16"), day("2017-10-30")),
        (day("2017-10-30"), day("2017-11-27")),
    }
    (curated,), (held_out,), (train,) = (steps.of(name) for name in ("curate_samples", "curate_validation", "train"))
    assert counted[curated.counts].end == counted[held_out.counts].start == day("2017-10-16")
    assert held_out.curated == curated
    assert train.validation.counts == held_out.counts
    assert counted[steps.of("evaluate")[0].test_counts].start == day("2017-10-30")
    assert steps.of("measure_quality")[0].window == Window(day("2017-08-01"), day("2017-10-30"))


async def test_the_test_window_is_the_newest_part_and_follows_the_training_window(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        await (await start(time_skipping, FINE_TUNE)).result()
    assert {(r.window.start, r.window.end) for r in steps.of("count_triples")} == {
        (day("2017-08-01"), day("2017-10-30")),
        (day("2017-10-30"), day("2017-11-27")),
    }
    assert steps.of("store_table")[0].nominal == day("2017-11-27")


@pytest.mark.parametrize(("similarity", "windows"), [("frequency", 2), ("trend", 3)])
async def test_rag_refresh_retrieves_with_the_approved_model(
    time_skipping: WorkflowEnvironment, similarity: Literal["frequency", "trend"], windows: int
) -> None:
    steps = Steps()
    request = RagRefreshInput(Source(), Windows(28, 7), retrieval=Retrieval(similarity=similarity), nominal=NOMINAL)
    async with running(time_skipping, steps):
        outcome = await (await start(time_skipping, request)).result()
    assert (outcome.outcome, outcome.model) == ("published", 7)
    assert "train" not in steps.names()
    counted = [r.window for r in steps.of("count_triples")]
    assert len(counted) == windows
    (asked,) = steps.of("render_prompts")
    assert (asked.previous_counts is not None) == (similarity == "trend")
    if similarity == "trend":
        assert Window(day("2017-09-25"), day("2017-10-23")) in counted
    assert steps.of("store_table")[0].kind == "rag"


@pytest.mark.parametrize(
    "request_",
    [
        FineTuneInput(Source(), Windows(90, 28), nominal=NOMINAL, counting=Counting("spark")),
        RagRefreshInput(Source(), Windows(28, 7), nominal=NOMINAL, counting=Counting("spark")),
    ],
)
async def test_every_window_is_counted_by_the_engine_that_the_run_was_asked_for(
    time_skipping: WorkflowEnvironment, request_: FineTuneInput | RagRefreshInput
) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        await (await start(time_skipping, request_)).result()
    assert [step.counting.engine for step in steps.of("count_triples")] == ["spark", "spark"]


REFRESH = RagRefreshInput(Source(), Windows(28, 7), nominal=NOMINAL)


@pytest.mark.parametrize("request_", [FINE_TUNE, REFRESH])
async def test_every_window_is_counted_under_the_newest_assignment(
    time_skipping: WorkflowEnvironment, request_: FineTuneInput | RagRefreshInput
) -> None:
    steps = Steps(assignment=5, new_items=9)
    async with running(time_skipping, steps):
        await (await start(time_skipping, request_)).result()
    assert [step.assignment for step in steps.of("count_triples")] == [5, 5]
    assert "read_new_items" not in steps.names()


@pytest.mark.parametrize("new_items", [0, 9])
@pytest.mark.parametrize("request_", [FINE_TUNE, REFRESH])
async def test_new_items_are_assigned_first_where_the_settings_say_so(
    time_skipping: WorkflowEnvironment, request_: FineTuneInput | RagRefreshInput, new_items: int
) -> None:
    steps = Steps(assignment=5, new_items=new_items)
    async with running(time_skipping, steps):
        await (await start(time_skipping, replace(request_, clusters=Clusters(assign="auto")))).result()
    assert [step.assignment for step in steps.of("count_triples")] == [6 if new_items else 5] * 2
    (asked,) = steps.of("read_new_items")
    assert asked.cluster_set == (1 if request_ is FINE_TUNE else 3)
    embedded = [step.cluster_set for step in steps.of("embed_catalogue")]
    assert embedded == ([asked.cluster_set] if new_items else [])


async def test_review_always_stops_a_good_candidate(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    request = FineTuneInput(Source(), Windows(90, 28), nominal=NOMINAL, gates=Gates(review="always"))
    async with running(time_skipping, steps):
        outcome = await (await start(time_skipping, request)).result()
    assert outcome.outcome == "expired"
    assert "publish" not in steps.names()


@pytest.mark.parametrize(
    ("kind", "supersede", "expected"),
    [("rag", "refreshes", True), ("rag", "never", False), ("fine_tune", "refreshes", False), ("fine_tune", "always", True)],
)
async def test_whose_newer_candidate_supersedes_those_that_wait(
    time_skipping: WorkflowEnvironment, kind: str, supersede: Any, expected: bool
) -> None:
    steps, gates = Steps(), Gates(supersede=supersede)
    about: dict[str, Any] = {"nominal": NOMINAL, "gates": gates, "channel": "trial"}
    windows = (Source(), Windows(28, 7))
    request = RagRefreshInput(*windows, **about) if kind == "rag" else FineTuneInput(*windows, **about)
    async with running(time_skipping, steps):
        await (await start(time_skipping, request)).result()
    assert [(s.table, s.channel) for s in steps.of("supersede")] == ([(11, "trial")] if expected else [])


async def test_a_superseded_candidate_ends_unpublished(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(evaluations=[BAD], closed=None)
    async with running(time_skipping, steps):
        handle = await start(time_skipping, RagRefreshInput(Source(), Windows(28, 7), nominal=NOMINAL))
        await steps.reached("open_gate")
        steps.closed = ClosedReview("superseded", "driftline")
        await handle.signal("decided")
        assert (await handle.result()).outcome == "superseded"
    assert "publish" not in steps.names()
    assert [told.event for told in steps.told] == ["review_opened", "superseded"]


async def test_a_run_goes_on_without_a_report_that_cannot_be_had(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(refuses="write_report")
    async with running(time_skipping, steps):
        outcome = await (await start(time_skipping, FINE_TUNE)).result()
    assert outcome.outcome == "published"
    assert steps.of("evaluate")[0].quality == 5, "judged by what was measured"


async def test_what_cannot_be_measured_is_not_judged(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps(refuses="measure_quality")
    async with running(time_skipping, steps):
        with pytest.raises(WorkflowFailureError) as failed:
            await (await start(time_skipping, FINE_TUNE)).result()
    assert "not enough data" in str(failed.value.cause.__cause__)
    assert {"evaluate", "publish"}.isdisjoint(steps.names())


async def test_the_evidence_is_about_the_days_that_judge_the_candidate(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        await (await start(time_skipping, FINE_TUNE)).result()
    (asked,) = steps.of("measure_quality")
    assert (asked.table, asked.test_counts) == (11, steps.of("evaluate")[0].test_counts)
    assert (asked.test_window.start, asked.test_window.end) == (day("2017-10-30"), day("2017-11-27"))
    assert asked.window.end == asked.test_window.start


REFRESH = RagRefreshInput(Source(), Windows(28, 7, 7), nominal=NOMINAL)
KNOWN, VALIDATION, ALL = (day("2017-10-23"), day("2017-11-13")), (day("2017-11-13"), day("2017-11-20")), day("2017-11-20")


async def test_a_table_of_counts_asks_no_model(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        outcome = await (await start(time_skipping, replace(REFRESH, answers="counts"))).result()
    assert (outcome.outcome, outcome.table, outcome.model) == ("published", 11, None)
    assert steps.names() == [
        "resolve_cluster_set",
        *["count_triples"] * 4,
        "answer_pairs",
        "store_table",
        "measure_quality",
        "write_report",
        "evaluate",
        "supersede",
        "publish",
    ]
    (asked,), (stored,) = steps.of("answer_pairs"), steps.of("store_table")
    windows = [(r.window.start, r.window.end) for r in steps.of("count_triples")]
    assert windows[asked.known - 1] == KNOWN
    assert windows[asked.validation - 1] == VALIDATION
    assert windows[asked.counts - 1] == (KNOWN[0], ALL)
    assert (stored.kind, stored.counts, stored.model, stored.prompts, stored.mapping) == ("rag", asked.counts, None, None, None)
    assert (stored.fitted, stored.answered.hash, stored.answers) == (asked, "n", "counts")


async def test_a_fine_tune_of_counts_trains_nothing(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        await (await start(time_skipping, replace(FINE_TUNE, windows=Windows(90, 28, 14), answers="counts"))).result()
    assert not {"train", "generate_mapping", "render_prompts"} & set(steps.names())
    assert steps.of("store_table")[0].kind == "fine_tune"


@pytest.mark.parametrize("similarity", ["frequency", "trend"])
async def test_a_blend_is_fitted_on_days_that_neither_has_seen(time_skipping: WorkflowEnvironment, similarity: Any) -> None:
    steps = Steps()
    asked_for = replace(REFRESH, answers="blend", retrieval=Retrieval(similarity=similarity))
    async with running(time_skipping, steps):
        outcome = await (await start(time_skipping, asked_for)).result()
    assert (outcome.outcome, outcome.model) == ("published", 7)
    (prompts,), (mapped,), (asked,), (stored,) = (
        steps.of(name) for name in ("render_prompts", "generate_mapping", "answer_pairs", "store_table")
    )
    windows = [(r.window.start, r.window.end) for r in steps.of("count_triples")]
    assert windows[prompts.counts - 1] == windows[asked.known - 1] == KNOWN
    assert windows[asked.validation - 1] == VALIDATION
    assert windows[asked.counts - 1] == (KNOWN[0], ALL)
    assert mapped.generation.scores == 16
    assert asked.mapping == stored.mapping
    assert (stored.answers, stored.model, stored.counts, stored.generation.scores) == ("blend", 7, asked.counts, 16)


async def test_a_fine_tune_can_end_in_a_blend(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        await (await start(time_skipping, replace(FINE_TUNE, windows=Windows(90, 28, 14), answers="blend"))).result()
    (train,), (held_out,), (asked,) = (steps.of(name) for name in ("train", "curate_validation", "answer_pairs"))
    windows = [(r.window.start, r.window.end) for r in steps.of("count_triples")]
    assert asked.validation == held_out.counts
    assert asked.known == train.curated.counts
    assert windows[asked.counts - 1] == (windows[asked.known - 1][0], windows[asked.validation - 1][1])


@pytest.mark.parametrize("answers", ["blend", "counts"])
async def test_without_a_validation_window_nothing_is_fitted(time_skipping: WorkflowEnvironment, answers: Any) -> None:
    steps = Steps()
    async with running(time_skipping, steps):
        with pytest.raises(WorkflowFailureError) as failed:
            await (await start(time_skipping, replace(REFRESH, windows=Windows(28, 7), answers=answers))).result()
    assert "validation_days" in str(failed.value.cause)
