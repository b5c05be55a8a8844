"""Runs: the two updates and everything else that is long; their requests, start, progress and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from driftline import contracts
from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.workflows import attributes, policies

if TYPE_CHECKING:  # who only lists runs starts without what they are asked
    from driftline.contracts import FineTuneInput, Progress, RagRefreshInput, RunStatus

RunHandle = WorkflowHandle[Any, "contracts.RunOutcome"]
Result = TypeVar("Result")

STARTING = "starting"
POLL_SECONDS = 1.0


SHOWN = (
    *("FineTune", "RagRefresh", "TrainRecommender", "BuildClusters", "DescribeClusters", "AssignItems"),
    *("EvaluateDrift", "EvaluateRefresh", "EvaluateAnswers", "EvaluateRetrieval", "EvaluatePolicy"),
    *("RunExperiment", "ShipTable"),
)
"""Workflows that `newest` lists."""


class RunFailed(RuntimeError):
    """A run ended with a fault; the message is the root cause's own."""


def fine_tune_input(settings: Settings, nominal: datetime | None = None, cluster_set: int | None = None) -> FineTuneInput:
    """Maps settings to a fine-tune's input. By default its nominal time is the schedule's and its cluster set the newest."""
    return contracts.FineTuneInput(
        source=settings.source,
        windows=settings.fine_tune.windows,
        answers=settings.fine_tune.answers,
        sequences=settings.sequences,
        counting=settings.counting,
        samples=settings.samples,
        retrieval=settings.retrieval,
        training=settings.training,
        generation=settings.generation,
        gates=settings.gates,
        channel=settings.channel,
        clusters=settings.clusters,
        nominal=nominal,
        cluster_set=cluster_set,
    )


def rag_refresh_input(settings: Settings, nominal: datetime | None = None, cluster_set: int | None = None) -> RagRefreshInput:
    """Maps settings to a RAG refresh's input; nominal time and cluster set as in `fine_tune_input`."""
    return contracts.RagRefreshInput(
        source=settings.source,
        windows=settings.rag_refresh.windows,
        answers=settings.rag_refresh.answers,
        sequences=settings.sequences,
        counting=settings.counting,
        retrieval=settings.retrieval,
        generation=settings.generation,
        gates=settings.gates,
        channel=settings.channel,
        clusters=settings.clusters,
        nominal=nominal,
        cluster_set=cluster_set,
    )


def nominal_or_end_of_log(settings: Settings, at: datetime | None) -> datetime:
    """Resolves the nominal time: the requested midnight, else the first one after the log's last event, but not after today's."""
    if at is not None:
        return at.replace(tzinfo=UTC)
    from driftline.sources.log import span  # with the engine that reads logs

    _, last = span(settings.source)
    midnight = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return min(midnight, today)


async def start(context: Context, request: FineTuneInput | RagRefreshInput, workflow_id: str) -> RunHandle:
    """Start an update.

    Raises:
        WorkflowAlreadyStartedError: one of this id is still under way.
    """
    workflow = "FineTune" if isinstance(request, contracts.FineTuneInput) else "RagRefresh"
    context.allow()
    client = await context.temporal()
    return await client.start_workflow(
        workflow, request, id=workflow_id, task_queue=policies.WORKFLOWS, result_type=contracts.RunOutcome
    )


async def join(
    context: Context, workflow: str, request: object, workflow_id: str, result: type[Result]
) -> WorkflowHandle[Any, Result]:
    """Start a workflow; one of this id that is under way is joined."""
    context.allow()
    client = await context.temporal()
    return await client.start_workflow(
        workflow,
        request,
        id=workflow_id,
        task_queue=policies.WORKFLOWS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        result_type=result,
    )


async def find(context: Context, workflow_id: str) -> RunHandle:
    """The newest update of this id."""
    return (await context.temporal()).get_workflow_handle(workflow_id, result_type=contracts.RunOutcome)


async def completed(context: Context, workflow_id: str, result: type[Result]) -> Result | None:
    """Outcome of the newest run of this id, if it has completed."""
    handle = (await context.temporal()).get_workflow_handle(workflow_id, result_type=result)
    try:
        if (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED:
            made: Result = await handle.result()
            return made
    except RPCError:  # no such run
        return None
    return None


@dataclass(frozen=True)
class Step:
    """State of a run: stage, progress, trouble.

    Attributes:
        state: `review`: it waits for a person. `ended`: it failed, was cancelled or terminated.
        stage: the workflow's own name for what it does.
        progress: the newest heartbeat of the step that runs.
        trouble: what the step's last attempt failed with.
    """

    state: Literal["running", "review", "completed", "ended"]
    stage: str
    progress: Progress | None = None
    trouble: str = ""


async def follow(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[Step]:
    """Every second, where the run is; the last step is the first that is not `running`."""
    while True:
        description = await handle.describe()
        stage = description.typed_search_attributes.get(attributes.STAGE) or STARTING
        if description.status != WorkflowExecutionStatus.RUNNING:
            completed = description.status == WorkflowExecutionStatus.COMPLETED
            yield Step("completed" if completed else "ended", stage)
            return
        if stage == "review":
            yield Step("review", stage)
            return
        yield Step("running", stage, *await _pending(description))
        await asyncio.sleep(POLL_SECONDS)


async def _pending(description: Any) -> tuple[Progress | None, str]:
    """The newest heartbeat of the running step, and what its last attempt failed with."""
    progress, trouble = None, ""
    for pending in description.raw_description.pending_activities:
        if pending.HasField("heartbeat_details") and pending.heartbeat_details.payloads:
            (progress,) = await description.data_converter.decode(
                list(pending.heartbeat_details.payloads)[:1], [contracts.Progress]
            )
        if pending.attempt > 1 and pending.HasField("last_failure"):
            why = pending.last_failure.message.partition("\n")[0]
            trouble = f"attempt {pending.attempt}, after: {why[:120]}"
    return progress, trouble


async def status(handle: RunHandle) -> RunStatus:
    """The run's own answer: stage, candidate, evidence, and the review that waits. A worker has to run."""
    answer: RunStatus = await handle.query("status", result_type=contracts.RunStatus)
    return answer


async def result(handle: WorkflowHandle[Any, Result]) -> Result:
    """What the run made; waits for its end.

    Raises:
        RunFailed: it made nothing.
    """
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        raise RunFailed(failure(error)) from None


def failure(error: BaseException) -> str:
    """The root cause's own words."""
    while error.__cause__ is not None or getattr(error, "cause", None) is not None:
        error = getattr(error, "cause", None) or error.__cause__  # type: ignore[assignment]
    return getattr(error, "message", None) or str(error)


@dataclass(frozen=True)
class RunSummary:
    workflow_id: str
    status: str | None
    stage: str | None
    started: datetime


async def newest(context: Context, limit: int = 8) -> list[RunSummary]:
    """The newest updates, builds and measurements, newest first."""
    client = await context.temporal()
    return [
        RunSummary(
            run.id,
            run.status.name.lower() if run.status else None,
            run.typed_search_attributes.get(attributes.STAGE),
            run.start_time,
        )
        async for run in client.list_workflows(f"WorkflowType IN ({', '.join(map(repr, SHOWN))})", limit=limit)
    ]


@dataclass(frozen=True)
class ListedRun:
    """One run as a list shows it. `progress` and `trouble` as of `Step`, while it is `running`."""

    workflow_id: str
    run_id: str
    kind: str
    status: str
    stage: str | None
    table: int | None
    started: datetime
    ended: datetime | None
    progress: Progress | None = None
    trouble: str = ""


async def overview(context: Context, limit: int) -> list[ListedRun]:
    """The newest updates, builds and measurements, newest first, and how far those are that run."""
    client = await context.temporal()
    query = f"WorkflowType IN ({', '.join(map(repr, SHOWN))})"
    return list(await asyncio.gather(*[_step(client, run) async for run in client.list_workflows(query, limit=limit)]))


async def _step(client: Client, run: WorkflowExecution) -> ListedRun:
    progress, trouble = None, ""
    if run.status == WorkflowExecutionStatus.RUNNING:
        progress, trouble = await _pending(await client.get_workflow_handle(run.id, run_id=run.run_id).describe())
    return ListedRun(
        run.id,
        run.run_id,
        run.workflow_type,
        run.status.name.lower() if run.status else "",
        run.typed_search_attributes.get(attributes.STAGE),
        run.typed_search_attributes.get(attributes.TABLE),
        run.start_time,
        run.close_time,
        progress,
        trouble,
    )
