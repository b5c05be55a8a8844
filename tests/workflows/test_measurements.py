"""What each measurement asks for: never a day that the model has learned from, no retrieval from the days it is judged on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from temporalio.testing import WorkflowEnvironment

from driftline.contracts import MeasurementInput, MeasurementOutcome, Measures, Source, Window, Windows
from driftline.interests.metrics.arms import FREQUENT_RENEWED, NO_RAG, RAG_FIXED, RAG_RENEWED
from driftline.workflows import policies
from tests.workflows.conftest import running
from tests.workflows.steps import Steps


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


PERIOD = Window(day("2017-12-18"), day("2017-12-25"))
REQUEST = MeasurementInput(Source(), Windows(28, 7), PERIOD, log_start=day("2017-01-01"))


async def run(
    environment: WorkflowEnvironment, workflow: str, steps: Steps, request: MeasurementInput = REQUEST
) -> MeasurementOutcome:
    async with running(environment, steps):
        outcome: MeasurementOutcome = await environment.client.execute_workflow(
            workflow, request, id=uuid4().hex, task_queue=policies.WORKFLOWS, result_type=MeasurementOutcome
        )
        return outcome


async def test_a_renewed_mapping_is_told_only_the_days_before_it(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    outcome = await run(time_skipping, "EvaluateRefresh", steps)
    assert [ref.kind for ref in outcome.measurements] == ["refresh"]
    (model,) = steps.of("trained_before")
    assert model.nominal == PERIOD.start  # the model has learned from nothing in the period
    (asked,) = steps.of("measure_hits")
    arms = {arm.name: arm for arm in asked.arms}
    renewed = [day("2017-12-18"), day("2017-12-20"), day("2017-12-22"), day("2017-12-24")]
    assert list(arms[RAG_RENEWED].since) == list(arms[FREQUENT_RENEWED].since) == renewed
    counted = {step.window.end: step.window for step in steps.of("count_triples")}
    assert sorted(counted) == renewed
    assert all(window.end - window.start == timedelta(days=28) for window in counted.values())
    assert arms[RAG_FIXED].mappings == arms[RAG_RENEWED].mappings[:1] != arms[NO_RAG].mappings
    assert len({mapping.uri for mapping in arms[RAG_RENEWED].mappings}) == 4
    assert asked.period == PERIOD
    assert asked.history.end == PERIOD.start


async def test_every_retrieval_is_compared_with_the_papers_choice(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    await run(time_skipping, "EvaluateRetrieval", steps)
    (asked,) = steps.of("measure_hits")
    assert [arm.name for arm in asked.arms] == [
        "no RAG, fixed",
        "instance, frequency, top 1",
        "instance, frequency, top 3",
        "instance, trend, top 1",
        "instance, trend, top 3",
        "global, frequency, 100 triples",
        "global, trend, 100 triples",
        "frequency table of day 1",
    ]
    assert {b for _, b in asked.differences} == {"instance, frequency, top 1"}
    assert len(asked.differences) == len(asked.arms) - 1
    trends = [step for step in steps.of("render_prompts") if step.retrieval and step.retrieval.similarity == "trend"]
    assert trends
    assert all(step.previous_counts is not None for step in trends)


async def test_repeated_samplings_never_share_their_luck(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    await run(time_skipping, "EvaluateAnswers", steps, replace(REQUEST, measures=Measures(temperature=0.7)))
    asked = steps.of("generate_mapping")
    draws = [step.sampling for step in asked if step.sampling]
    assert [draw.temperature for draw in draws] == [0.7, 0.7, 0.7]
    assert len({draw.seed for draw in draws}) == 3
    assert sum(step.sampling is None for step in asked) == 2


async def test_drift_is_measured_over_whole_months_and_staleness_after_one_retrieval(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    await run(time_skipping, "EvaluateDrift", steps)
    (drift,) = steps.of("measure_drift")
    assert [(w.window.start.month, w.window.end.month) for w in drift.lists] == [(m, m + 1) for m in range(1, 12)]
    (stale,) = steps.of("measure_staleness")
    retrieved = PERIOD.end - timedelta(days=28)
    assert (stale.retrieved.window.start, stale.retrieved.window.end) == (retrieved - timedelta(days=28), retrieved)
    assert [(later.window.end - retrieved).days for later in stale.later] == [1, 2, 3, 5, 7, 10, 14, 21, 28]


async def test_a_log_without_a_whole_month_still_tells_how_soon_facts_are_stale(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    outcome = await run(time_skipping, "EvaluateDrift", steps, replace(REQUEST, log_start=day("2017-11-02")))
    assert [ref.kind for ref in outcome.measurements] == ["drift", "staleness"]
    assert steps.of("measure_drift")[0].lists == ()
    assert steps.of("measure_staleness")[0].later


async def test_trend_is_left_out_where_the_log_has_no_window_before(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    await run(time_skipping, "EvaluateRetrieval", steps, replace(REQUEST, log_start=day("2017-11-01")))
    (asked,) = steps.of("measure_hits")
    assert not [arm.name for arm in asked.arms if "trend" in arm.name]
    assert asked.missing == ("trend: not enough data: the window before begins on 2017-10-23, before the log does",)


async def test_each_window_is_counted_once(time_skipping: WorkflowEnvironment) -> None:
    for workflow in ("EvaluateRefresh", "EvaluateRetrieval", "EvaluateAnswers"):
        steps = Steps()
        await run(time_skipping, workflow, steps)
        windows = [step.window for step in steps.of("count_triples")]
        assert len(windows) == len(set(windows))


async def test_the_model_of_a_table_can_be_asked_for(time_skipping: WorkflowEnvironment) -> None:
    steps = Steps()
    await run(time_skipping, "EvaluateAnswers", steps, replace(REQUEST, model=5))
    assert steps.of("trained_before")[0].model == 5
