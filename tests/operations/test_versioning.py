"""Workers that register as versions of a deployment, on a real server: the current one gets work, and runs move on with it."""

import asyncio
import subprocess
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from temporalio.client import WorkflowFailureError
from temporalio.common import VersioningBehavior
from temporalio.testing import WorkflowEnvironment

from driftline import worker
from driftline.activities.resources import Resources
from driftline.contracts import FineTuneInput, Source, Windows
from driftline.db import connection
from driftline.embedded import temporal
from driftline.workflows import policies
from driftline.workflows.fine_tune import FineTune
from tests.conftest import dev_server

__all__ = ["dev_server"]


def make_current(environment: WorkflowEnvironment, build: str) -> str:
    """As docs/upgrading.md says."""
    address = environment.client.service_client.config.target_host
    command = [temporal.binary(), "worker", "deployment", "set-current-version", "--deployment-name", "driftline"]
    command += ["--build-id", build, "--yes", "--address", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


@pytest.fixture
def engine(postgres_url: str) -> Any:
    own = connection.connect(postgres_url)
    yield own
    own.dispose()


async def test_a_run_that_waits_goes_on_with_the_version_that_is_made_current(
    dev_server: WorkflowEnvironment, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles, client = worker.roles(Resources(engine, tmp_path)), dev_server.client
    request = FineTuneInput(Source(), Windows(70, 20))
    handle = await client.start_workflow(FineTune.run, request, id="versioned", task_queue=policies.WORKFLOWS)

    async def version() -> tuple[str, str, int]:
        info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
        return info.deployment_version.deployment_name, info.deployment_version.build_id, int(info.behavior)

    async def current(build: str) -> None:
        for _ in range(1000):  # a version is known once its worker has polled
            if not (why := make_current(dev_server, build)):
                return
            await asyncio.sleep(0.3)
        raise AssertionError(why)

    async def until(build: str) -> None:
        for _ in range(1000):
            if (found := await version())[1] == build:
                assert found[0] == "driftline"
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"still {found}")

    async with AsyncExitStack() as old:
        monkeypatch.setattr(worker, "BUILD", "1.0")
        for one in worker.workers(client, [roles["workflows"]], timedelta(0), versioning=True):
            await old.enter_async_context(one)
        assert (await version())[1] == ""  # registered, not current: it gets nothing
        await current("1.0")
        await until("1.0")
        assert (await version())[2] == int(VersioningBehavior.AUTO_UPGRADE)
    async with AsyncExitStack() as new:
        monkeypatch.setattr(worker, "BUILD", "2.0")
        for one in worker.workers(client, [roles["workflows"], roles["db"]], timedelta(0), versioning=True):
            await new.enter_async_context(one)
        await current("2.0")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert "there is no cluster set yet" in str(failed.value.cause.__cause__)
        await until("2.0")
