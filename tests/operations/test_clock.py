"""The wall clock jumps under a worker and its children, forward and back, by hours and by years, while runs are under way."""

import asyncio
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from driftline.embedded import temporal
from driftline.operations.stack import add_search_attributes
from tests.chaos.pipelines import MADE
from tests.end_to_end.shop import VOCABULARY
from tests.operations.whole import Whole
from tests.tiny import make_tiny_llm

ROOT = Path(__file__).parents[2]
SHORT_POLLS = ["--dynamic-config-value", 'matching.longPollExpirationInterval="2s"']
SILENT = 20
"""Seconds after which a worker that does not poll ends."""
WORKER = f"""
from datetime import timedelta
from driftline import worker
from driftline.operations import polls

polls.SILENT, polls.EVERY = timedelta(seconds={SILENT}), timedelta(seconds=1)
worker.main()
"""
HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
JUMPS = (HOUR, -HOUR, YEAR, -4 * YEAR, timedelta(days=40), -timedelta(days=1))
"""Four years ago the whole log was yet to come."""


class Clock:
    """Of every process that is started with `env`."""

    def __init__(self, folder: Path) -> None:
        self.file, library = folder / "off", folder / "clock.so"
        self.set(timedelta(0))
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
        self.env = {"LD_PRELOAD": str(library), "CLOCK_IS_OFF_BY": str(self.file)}

    def set(self, off: timedelta) -> None:
        with self.file.open("r+b" if self.file.exists() else "wb") as file:  # in place: it is mapped
            file.write(struct.pack("l", int(off.total_seconds())))

    async def jump(self) -> None:
        for off in cycle(JUMPS):
            self.set(off)
            await asyncio.sleep(0.5)


@pytest.fixture
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal.binary(), data_converter=pydantic_data_converter, dev_server_extra_args=SHORT_POLLS
    ) as environment:
        await add_search_attributes(environment.client)
        yield environment


async def come_to(whole: Whole, llm: Path) -> list[Any]:
    """A refresh of counts and a fine-tune, side by side: how they end, and the tables that they make."""
    training = {"base_model": str(llm), "steps": 60, "rank": 4, "alpha": 8, "checkpoint_every": 10, "validate_every": 30}
    training["learning_rate"] = 5e-3
    tuned = whole.outcome("tuned", fine_tune=True, training=training, gates={"min_exact_match_rate": 0.0, "min_recall": 0.0})
    ends = await asyncio.gather(whole.outcome("counted"), tuned)
    with psycopg.connect(whole.url) as connection:
        ids = [f"{name}-{whole.folder.name}" for name in ("counted", "tuned")]
        return [ends, connection.execute(MADE, [ids]).fetchall(), list(whole.broken())]


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("cc"), reason="a clock that jumps needs a C compiler")
@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD")
@pytest.mark.timeout(1200)
async def test_a_clock_that_jumps_changes_nothing(
    environment: WorkflowEnvironment, make_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    llm, clock = make_tiny_llm(tmp_path / "llm", words=VOCABULARY, vocabulary=600), Clock(tmp_path)
    calm, jumps = (Whole(environment, make_database(), made(tmp_path / name / "shop")) for name in ("calm", "jumps"))
    async with calm.worker():
        expected = await come_to(calm, llm)
    (ended, _), tables, broken = expected
    assert (ended, len(tables), broken) == ("published", 2, []), expected

    client = environment.client.service_client.config
    env = os.environ | clock.env | {"DRIFTLINE_HOME": str(jumps.home), "DRIFTLINE_POSTGRES_URL": jumps.url}
    env |= {"DRIFTLINE_TEMPORAL_ADDRESS": client.target_host, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=tmp_path, env=env, stdout=log, stderr=log)
    jumping = asyncio.create_task(clock.jump())
    try:
        assert await come_to(jumps, llm) == expected
        jumping.cancel()
        said = (tmp_path / "worker.log").read_text()
        assert worker.poll() is None, said
        clock.set(HOUR)  # and stays: what another machine's clock may be off by
        await asyncio.sleep(1.5 * SILENT)
        assert worker.poll() is None, "it has taken itself for one that polls nothing"
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, 600) == 0
    finally:
        jumping.cancel()
        with suppress(ProcessLookupError):
            worker.kill()
        worker.wait()
        for whole in (calm, jumps):
            whole.chain.engine.dispose()


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
