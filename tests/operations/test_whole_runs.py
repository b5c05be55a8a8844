"""What happens around whole runs: their home is gone for a while, or older than Postgres; the same is asked for twice at once."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.db import tables as db_tables
from driftline.operations import runs, schedules
from tests.operations.whole import NOMINAL, Whole

TABLES = "SELECT nominal::date::text, count(*) FROM transition_table GROUP BY 1 ORDER BY 1"
MOVES = "SELECT t.nominal::date::text FROM publication p JOIN transition_table t ON t.version = p.to_version ORDER BY p.id"


@pytest.fixture
async def whole(dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path) -> AsyncIterator[Whole]:
    made = Whole(dev_server, postgres_url, tmp_path)
    yield made
    made.chain.engine.dispose()


def served(whole: Whole, channel: str) -> int:
    with whole.chain.engine.connect() as connection:
        return db_tables.lookup(connection, 0, 1, channel).version


async def fails(handle: runs.RunHandle, words: str) -> None:
    """Until a step of it has failed twice with these words, and is tried again."""
    for _ in range(2000):
        pending = (await handle.describe()).raw_description.pending_activities
        if any(step.attempt > 2 and words in str(step.last_failure) for step in pending):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no step says {words!r}")


@pytest.mark.long
async def test_a_home_that_is_gone_is_waited_for_and_one_of_yesterday_is_made_whole(whole: Whole, tmp_path: Path) -> None:
    home, away = whole.home, tmp_path / "away"
    run = await whole.start("home")
    async with whole.worker():
        home.rename(away)
        await fails(run, f"the home {home} is gone")
        assert not home.exists(), "a worker has made another home"
        away.rename(home)
        first = await runs.result(run)
        assert (first.outcome, served(whole, "home")) == ("published", first.table)

        # What was made since yesterday is gone, and Postgres knows it.
        shutil.rmtree(home / "artifacts")
        shutil.rmtree(home / "work", ignore_errors=True)
        assert served(whole, "home") == first.table
        assert await whole.outcome("home") == "published"
        assert served(whole, "home") == first.table
        assert await whole.outcome("home", nominal=NOMINAL + timedelta(days=2)) == "published"
        assert served(whole, "home") > first.table
    assert whole.asked(MOVES) == [("2024-04-10",), ("2024-04-12",)]
    assert list(whole.broken()) == []


@pytest.mark.long
async def test_two_backfills_and_a_run_of_one_of_their_dates_make_each_table_once(whole: Whole) -> None:
    context = whole.context(channel="twice", schedule={"rag_refresh_every": "P1D"})
    await schedules.apply(context)
    first = NOMINAL - timedelta(days=2)
    try:
        async with whole.worker():
            asked: list[Any] = [schedules.backfill(context, "rag-refresh", first, NOMINAL) for _ in range(2)]
            await asyncio.gather(*asked, whole.outcome("twice"))
            listed: list[schedules.ScheduleState] = []
            for _ in range(2000):
                listed = [state for state in await schedules.list_schedules(context) if state.id == schedules.RAG_REFRESH]
                dates = whole.asked(TABLES)
                if len(dates) == 3 and not listed[0].running:
                    break
                await asyncio.sleep(0.1)
    finally:
        for name in schedules.declared(context.settings):
            await (await context.temporal()).get_schedule_handle(name).delete()
    days = [f"{first + timedelta(days=n):%Y-%m-%d}" for n in range(3)]
    assert whole.asked(TABLES) == [(day, 1) for day in days]
    moves = [day for (day,) in whole.asked(MOVES)]
    assert moves == sorted(set(moves)), "each once, and never back"
    assert moves[-1] == days[-1]
    assert list(whole.broken()) == []
