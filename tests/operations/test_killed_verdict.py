"""A worker that is killed while it stores a verdict: the next one stores it, as soon as the step's own short time is over."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from driftline.db import keys as db_keys
from driftline.workflows import policies
from tests.operations.test_reviews import Shop, shop
from tests.workflows.test_review import by_update, verdict

__all__ = ["shop"]

ROOT = Path(__file__).parents[2]
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def start(shop: Shop, role: str) -> "subprocess.Popen[bytes]":
    settings = shop.context.settings
    env = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    env |= {"DRIFTLINE_HOME": str(settings.home), "DRIFTLINE_POSTGRES_URL": settings.postgres_url, "PYTHONPATH": str(ROOT)}
    env |= {"DRIFTLINE_TEMPORAL_ADDRESS": settings.temporal_address, "DRIFTLINE_DRAIN": "PT0S"}
    command = [sys.executable, "-m", "driftline.worker", "--role", role]
    return subprocess.Popen(command, env=env, cwd=settings.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.long
async def test_a_verdict_outlives_the_worker_that_stores_it(shop: Shop) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
    workers = [start(shop, "workflows"), start(shop, "db")]
    try:
        with shop.context.engine.begin() as conn:
            db_keys.lock(conn, f"verdict:{review.candidate}")
            sent = asyncio.create_task(by_update(handle, verdict(review.review_id)))
            while all(worker.poll() is None for worker in workers) and not conn.execute(text(WAITING)).scalar_one():
                await asyncio.sleep(0.1)
            workers[1].kill()  # in the middle of storing it
            workers[1].wait()
        workers.append(start(shop, "db"))
        assert (await sent).accepted
        assert (await handle.result()).outcome == "published"
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.kill()
            worker.wait()
    limit = policies.verdict["start_to_close_timeout"]
    assert limit
    assert limit.total_seconds() < 60
    attempts = {}
    async for event in handle.fetch_history_events():
        scheduled, started = event.activity_task_scheduled_event_attributes, event.activity_task_started_event_attributes
        if scheduled.activity_type.name == "record_verdict":
            assert scheduled.start_to_close_timeout.ToTimedelta() == limit  # all that Temporal waits for
            attempts[event.event_id] = started
        if started.scheduled_event_id in attempts:
            attempts[started.scheduled_event_id] = started
    (found,) = attempts.values()
    assert (found.attempt, found.last_failure.timeout_failure_info.timeout_type) == (2, 1)  # start to close
