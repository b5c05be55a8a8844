"""What the recorded runs went through: each starts a run, plays the people in it, and waits for its end."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from driftline.contracts import (
    AssignItemsInput,
    BadInput,
    BuildClusterSet,
    BuildClustersInput,
    CatalogueRef,
    ClosedReview,
    Clusters,
    ClusterSetRef,
    Delivery,
    EmbedCatalogue,
    EmbeddingsRef,
    Experiment,
    ExperimentInput,
    FindModel,
    Gates,
    Metric,
    ModelRef,
    Notification,
    RecommenderInput,
    ShipInput,
    Source,
    WatchInput,
    Windows,
)
from driftline.workflows import policies
from driftline.workflows.build_clusters import BuildClusters
from tests.replay.requests import CADENCE, FINE_TUNE, MEASURE, NOMINAL, REFRESH, SHORT, SOURCE
from tests.workflows.conftest import running
from tests.workflows.resetting import reset
from tests.workflows.steps import BAD, GOOD, Steps
from tests.workflows.test_review import by_update, until, verdict, waiting

Handle = WorkflowHandle[Any, Any]


async def start(client: Client, workflow: str, request: object, name: str, queue: str = policies.WORKFLOWS) -> Handle:
    return await client.start_workflow(workflow, request, id=name, task_queue=queue)


async def fine_tune(environment: WorkflowEnvironment, name: str) -> Handle:
    """Counted, trained, mapped, judged, published."""
    async with running(environment, Steps()):
        return await ended(await start(environment.client, "FineTune", FINE_TUNE, name))


async def rag_refresh(environment: WorkflowEnvironment, name: str) -> Handle:
    """With the window before, for the trend."""
    async with running(environment, Steps()):
        return await ended(await start(environment.client, "RagRefresh", REFRESH, name))


async def rerun_then_approve(environment: WorkflowEnvironment, name: str) -> Handle:
    """Both doors, and verdicts that change nothing at both."""
    async with running(environment, Steps(evaluations=[BAD, BAD])):
        handle = await start(environment.client, "FineTune", FINE_TUNE, name)
        first = (await waiting(handle)).review_id
        await handle.signal("verdict", "approve")
        await by_update(handle, verdict("000000000000"))
        await by_update(handle, verdict(first, "rerun"))
        second = first
        while second in (None, first):
            second = (await waiting(handle)).review_id
        await by_update(handle, verdict(first))
        await handle.signal("verdict", verdict(second))
        return await ended(handle)


async def refresh_aborted(environment: WorkflowEnvironment, name: str) -> Handle:
    """A refresh that was counted again, then given up."""
    async with running(environment, Steps(evaluations=[BAD, GOOD])):
        handle = await start(environment.client, "RagRefresh", replace(REFRESH, gates=Gates(review="always")), name)
        first = (await waiting(handle)).review_id
        await by_update(handle, verdict(first, "rerun"))
        second = first
        while second in (None, first):
            second = (await waiting(handle)).review_id
        await by_update(handle, verdict(second, "abort"))
        return await ended(handle)


async def expired(environment: WorkflowEnvironment, name: str) -> Handle:
    """Nobody answered: reminders, then the end."""
    async with running(environment, Steps(evaluations=[BAD])):
        return await ended(await start(environment.client, "FineTune", replace(FINE_TUNE, gates=SHORT), name))


async def doors(environment: WorkflowEnvironment, name: str) -> Handle:
    """Slips at the second door, and a verdict that Postgres has."""
    steps = Steps(evaluations=[BAD], store_verdict=False)
    async with running(environment, steps):
        handle = await start(environment.client, "FineTune", FINE_TUNE, name)
        waits = (await waiting(handle)).review_id
        await handle.signal("verdict", args=[verdict(waits), verdict(waits)])
        await handle.signal("Verdict", verdict(waits))
        await handle.signal("verdict", verdict(waits) | {"reason": "a\0b"})
        await handle.signal("decided")
        await until(handle, lambda _: len(steps.of("closed_review")) == 1)
        steps.closed = ClosedReview("approve", "ana")
        await by_update(handle, verdict(waits))
        return await ended(handle)


async def superseded(environment: WorkflowEnvironment, name: str) -> Handle:
    """A newer candidate came while this one waited; it had superseded an older one itself."""
    steps = Steps(evaluations=[BAD])
    async with running(environment, steps):
        handle = await start(environment.client, "RagRefresh", REFRESH, name)
        await waiting(handle)
        steps.closed = ClosedReview("superseded", "driftline")
        await handle.signal("decided")
        return await ended(handle)


async def revoked(environment: WorkflowEnvironment, name: str) -> Handle:
    """Approved, and taken back before it was published."""
    steps = Steps(evaluations=[BAD], hold_publication=asyncio.Event(), publication="revoked")
    async with running(environment, steps):
        handle = await start(environment.client, "FineTune", FINE_TUNE, name)
        waits = (await waiting(handle)).review_id
        await by_update(handle, verdict(waits))
        await handle.signal("verdict", verdict(waits, "revoke"))
        await until(handle, lambda _: len(steps.of("record_verdict")) == 2)
        assert steps.hold_publication
        steps.hold_publication.set()
        return await ended(handle)


async def reset_then_approve(environment: WorkflowEnvironment, name: str) -> Handle:
    """The operator began it anew behind its open review."""
    async with running(environment, Steps(evaluations=[BAD])):
        handle = await start(environment.client, "FineTune", FINE_TUNE, name)
        await waiting(handle)
        again = await reset(environment.client, handle, "open_gate")
        await by_update(again, verdict((await waiting(again)).review_id))
        return await ended(again)


async def decided_in_postgres(environment: WorkflowEnvironment, name: str) -> Handle:
    """Nobody answered here, and Postgres had a verdict when the review expired."""
    steps = Steps(evaluations=[BAD])
    async with running(environment, steps):
        handle = await start(environment.client, "RagRefresh", replace(REFRESH, gates=SHORT), name)
        await waiting(handle)
        steps.closed = ClosedReview("approve", "ana")
        return await ended(handle)


async def heard_while_opening(environment: WorkflowEnvironment, name: str) -> Handle:
    """Decided before the run knew that its review is open. `unheard_while_opening` is of the time when it waited on."""
    steps = Steps(evaluations=[BAD], hold_open=asyncio.Event())
    async with running(environment, steps):
        handle = await start(environment.client, "RagRefresh", replace(REFRESH, gates=SHORT), name)
        await steps.reached("open_gate")
        steps.closed = ClosedReview("approve", "ana")
        await handle.signal("decided")
        await asyncio.sleep(0.5)
        assert steps.hold_open
        steps.hold_open.set()
        return await ended(handle)


async def unmeasurable(environment: WorkflowEnvironment, name: str) -> Handle:
    """It cannot be measured, so it is not judged. `unmeasured` is of the time before, when it was judged all the same."""
    async with running(environment, Steps(refuses="measure_quality")):
        handle = await start(environment.client, "FineTune", FINE_TUNE, name)
        with suppress(WorkflowFailureError):
            await handle.result()
        return handle


async def validated_fine_tune(environment: WorkflowEnvironment, name: str) -> Handle:
    """With a validation window, as the settings have it; the others are of the time before."""
    async with running(environment, Steps()):
        return await ended(await start(environment.client, "FineTune", replace(FINE_TUNE, windows=Windows(90, 28, 14)), name))


async def counted_refresh(environment: WorkflowEnvironment, name: str) -> Handle:
    """Counts alone: no model."""
    asked = replace(REFRESH, windows=Windows(28, 7, 7), answers="counts")
    async with running(environment, Steps()):
        return await ended(await start(environment.client, "RagRefresh", asked, name))


async def blended_refresh(environment: WorkflowEnvironment, name: str) -> Handle:
    """Counts and an LLM with scores, with the window before for the trend."""
    asked = replace(REFRESH, windows=Windows(28, 7, 7), answers="blend")
    async with running(environment, Steps()):
        return await ended(await start(environment.client, "RagRefresh", asked, name))


async def blended_fine_tune(environment: WorkflowEnvironment, name: str) -> Handle:
    asked = replace(FINE_TUNE, windows=Windows(90, 28, 14), answers="blend")
    async with running(environment, Steps()):
        return await ended(await start(environment.client, "FineTune", asked, name))


async def assign_items(environment: WorkflowEnvironment, name: str) -> Handle:
    """By the command."""
    async with running(environment, Steps(new_items=3)):
        return await ended(await start(environment.client, "AssignItems", AssignItemsInput(SOURCE), name))


async def assigned_fine_tune(environment: WorkflowEnvironment, name: str) -> Handle:
    """New items first, then as `validated_fine_tune`."""
    request = replace(FINE_TUNE, windows=Windows(90, 28, 14), clusters=Clusters(assign="auto"))
    async with running(environment, Steps(new_items=3)):
        return await ended(await start(environment.client, "FineTune", request, name))


async def assigned_rag_refresh(environment: WorkflowEnvironment, name: str) -> Handle:
    """With the newest assignment, and no item that is new."""
    async with running(environment, Steps(assignment=2)):
        request = replace(REFRESH, clusters=Clusters(assign="auto"))
        return await ended(await start(environment.client, "RagRefresh", request, name))


async def assigned_refresh(environment: WorkflowEnvironment, name: str) -> Handle:
    """A measurement under the newest assignment."""
    async with running(environment, Steps(assignment=2)):
        return await ended(await start(environment.client, "EvaluateRefresh", MEASURE, name))


async def train_recommender(environment: WorkflowEnvironment, name: str) -> Handle:
    """With new items, which are assigned first."""
    asked = RecommenderInput(SOURCE, NOMINAL, clusters=Clusters(assign="auto"))
    async with running(environment, Steps(new_items=3)):
        return await ended(await start(environment.client, "TrainRecommender", asked, name))


async def evaluate_drift(environment: WorkflowEnvironment, name: str) -> Handle:
    return await measured(environment, "EvaluateDrift", name)


async def evaluate_refresh(environment: WorkflowEnvironment, name: str) -> Handle:
    return await measured(environment, "EvaluateRefresh", name)


async def evaluate_answers(environment: WorkflowEnvironment, name: str) -> Handle:
    return await measured(environment, "EvaluateAnswers", name)


async def evaluate_retrieval(environment: WorkflowEnvironment, name: str) -> Handle:
    return await measured(environment, "EvaluateRetrieval", name)


async def evaluate_policy(environment: WorkflowEnvironment, name: str) -> Handle:
    return await measured(environment, "EvaluatePolicy", name)


async def measured(environment: WorkflowEnvironment, workflow: str, name: str) -> Handle:
    async with running(environment, Steps()):
        return await ended(await start(environment.client, workflow, MEASURE, name))


async def build_clusters(environment: WorkflowEnvironment, name: str) -> Handle:
    @activity.defn
    async def read_catalogue(source: Source) -> CatalogueRef:
        return CatalogueRef("file:///c", "c", 120, 100)

    @activity.defn
    async def embed_catalogue(request: EmbedCatalogue) -> EmbeddingsRef:
        return EmbeddingsRef("file:///e", "e")

    @activity.defn
    async def build_cluster_set(request: BuildClusterSet) -> ClusterSetRef:
        return ClusterSetRef(1, 24, 100)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Worker(environment.client, task_queue=policies.WORKFLOWS, workflows=[BuildClusters]))
        steps: list[Callable[..., Any]] = [read_catalogue, embed_catalogue, build_cluster_set]
        await stack.enter_async_context(Worker(environment.client, task_queue=policies.CPU, activities=steps))
        return await ended(await start(environment.client, "BuildClusters", BuildClustersInput(SOURCE), name))


async def experiment(environment: WorkflowEnvironment, name: str) -> Handle:
    """Three days that lie in the past at once, then one that somebody did not wait for."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = Experiment(exposures="s3://shop/exposures/*.parquet", metrics={"liked": Metric("liked")}, delay=timedelta(0))
    weights = {"control": 0.5, "treatment": 0.5}
    steps = Steps(bad_days=(3,))
    async with running(environment, steps):
        request = ExperimentInput("rag", asked, midnight - timedelta(days=3), weights, "salt")
        handle = await start(environment.client, "RunExperiment", request, name)
        while not steps.of("measure_experiment"):
            await asyncio.sleep(0.1)
        await handle.signal("pause")
        await handle.signal("stop", {"why": "enough"})
        return await ended(handle)


async def shipped(environment: WorkflowEnvironment, name: str) -> Handle:
    """A reviewer asked to look again at what the channel serves, then approved."""
    async with running(environment, Steps()):
        handle = await start(environment.client, "ShipTable", ShipInput("rag", "treatment", "default", Gates()), name)
        first = (await waiting(handle)).review_id
        await by_update(handle, verdict(first, "rerun"))
        second = first
        while second in (None, first):
            second = (await waiting(handle)).review_id
        await by_update(handle, verdict(second))
        return await ended(handle)


async def told(environment: WorkflowEnvironment, name: str) -> Handle:
    """People were told that it waits, that it still waits, and that it is published."""
    steps = Steps(evaluations=[BAD])
    gates = Gates(remind_every=timedelta(milliseconds=400))
    async with running(environment, steps):
        handle = await start(environment.client, "FineTune", replace(FINE_TUNE, gates=gates), name)
        waits = (await waiting(handle)).review_id
        await until(handle, lambda _: len(steps.told) > 1)
        await by_update(handle, verdict(waits))
        return await ended(handle)


async def told_failure(environment: WorkflowEnvironment, name: str) -> Handle:
    """It could not succeed, and people were told why."""

    @activity.defn
    async def newest_approved(request: FindModel) -> ModelRef:
        raise BadInput("no approved model")

    async with running(environment, Steps(real=[newest_approved])):
        handle = await start(environment.client, "RagRefresh", REFRESH, name)
        with suppress(WorkflowFailureError):
            await handle.result()
        return handle


async def keep_cadence(environment: WorkflowEnvironment, name: str) -> Handle:
    """A day that was a refresh: the refresh goes its own way."""
    steps = Steps(action="rag_refresh")
    async with running(environment, steps):
        handle = await ended(await start(environment.client, "KeepCadence", CADENCE, name))
        await environment.client.get_workflow_handle(f"driftline-rag-refresh-{NOMINAL:%Y-%m-%d}").result()
        return handle


async def send_notification(environment: WorkflowEnvironment, name: str) -> Handle:
    """To a target that takes it."""
    async with running(environment, Steps(targets=[[Delivery("ops", "sent", "sent")]])):
        asked = Notification("table_old", "table_old:default:7:1", why="default serves table 7")
        return await ended(await start(environment.client, "SendNotification", asked, name, policies.NOTIFY))


async def watch(environment: WorkflowEnvironment, name: str) -> Handle:
    """Something was overdue."""
    async with running(environment, Steps(due=[Notification("table_old", "table_old:default:7:1")])):
        asked = WatchInput(("driftline-rag-refresh",))
        return await ended(await start(environment.client, "Watch", asked, name, policies.NOTIFY))


STORIES: Mapping[str, Callable[[WorkflowEnvironment, str], Coroutine[Any, Any, Handle]]] = {
    story.__name__: story
    for story in (
        *(fine_tune, rag_refresh, rerun_then_approve, refresh_aborted, expired, build_clusters),
        *(validated_fine_tune, unmeasurable, counted_refresh, blended_refresh, blended_fine_tune),
        *(evaluate_policy, train_recommender, assign_items, assigned_fine_tune, assigned_rag_refresh, assigned_refresh),
        *(keep_cadence, told, told_failure, send_notification, watch),
        *(doors, reset_then_approve, decided_in_postgres, heard_while_opening, superseded, revoked),
        *(evaluate_drift, evaluate_refresh, evaluate_answers, evaluate_retrieval),
        *(experiment, shipped),
    )
} | {
    # Recorded again since; the histories of before stay as they are.
    "measured_fine_tune": fine_tune,  # with the evidence on record before the gate
    "measured_rag_refresh": rag_refresh,
    "shrunk_refresh": counted_refresh,  # with strengths that are shrunk
    "shrunk_blend": blended_refresh,  # and the LLM's weight, too
}


async def ended(handle: Handle) -> Handle:
    await handle.result()
    return handle
