"""Engines that run in this process: what a child computes, without the seconds in which each child loads torch anew."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from driftline.activities import clusters, computed, mapping, naming, training
from driftline.contracts import BadInput, Children

ENTRIES = {
    "driftline.engines.embed": "embed",
    "driftline.engines.generate": "generate",
    "driftline.engines.machine": "resolve",
    "driftline.engines.name": "name",
    "driftline.engines.train": "train",
    "driftline.engines.write_names": "write_names",
}


@pytest.fixture(scope="session")
def weights_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where converted weights lie: they are the same for all tests."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def engines_here(weights_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The modules that were run, in order. That a child does it is for `test_child` and the end-to-end tests."""
    ran: list[str] = []

    async def run_here(module: str, job: Any, work: Path, home: Path, children: Children) -> None:
        ran.append(module)
        try:
            await asyncio.to_thread(getattr(import_module(module), ENTRIES[module]), job)
        except BadInput as error:
            raise ApplicationError(str(error), type="BadInput", non_retryable=True) from error
        except RuntimeError as error:
            raise ApplicationError(str(error), type="ChildFailed") from error

    for room in (clusters, computed, mapping, naming, training):
        monkeypatch.setattr(room, "run_child", run_here)
    monkeypatch.setenv("DRIFTLINE_HOME", str(weights_home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    computed.forget()  # another worker, and maybe another machine
    yield ran
    computed.forget()
