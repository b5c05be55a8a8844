"""What `driftline prune` finds and deletes, on a real Postgres, a real Temporal and a real home."""

import fcntl
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.activities.resources import artifacts_of
from driftline.contracts import MappingRef
from driftline.db import evaluations, tables
from driftline.db.connection import connect
from driftline.operations import retention
from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.workflows import policies
from tests.clock import off_by
from tests.db import world

DAY = 86_400


@pytest.fixture
def context(dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path) -> Context:
    target = dev_server.client.service_client.config.target_host
    return Context(Settings(postgres_url=postgres_url, temporal_address=target, home=tmp_path / "home"))


def keep(context: Context, kind: str, text: str, days: float = 100) -> Path:
    """An artifact of so many days ago."""
    artifacts = artifacts_of(context.settings.home.absolute(), "")
    with artifacts.folder() as folder:
        (folder / "content").write_text(text)
        place = artifacts.find(artifacts.store(kind, folder)[0])
    return aged(place, days)


def aged(place: Path, days: float) -> Path:
    for path in (*place.rglob("*"), place):
        os.utime(path, (time.time() - days * DAY,) * 2)
    return place


async def test_what_is_old_and_needed_by_nothing_goes(context: Context, postgres_url: str) -> None:
    home = context.settings.home
    adapter = keep(context, "adapters", "approved")
    needed = {adapter, keep(context, "prompts", "of last week", 5), keep(context, "mappings", "of the approved table")}
    old = {
        *(keep(context, kind, "old") for kind in ("adapters", "prompts", "samples", "successors", "mappings", "embeddings")),
        keep(context, "mappings/f00d", "of a family"),
    }
    for folder in (
        "work/train-1",
        "work/train-2",
        "work/train-3",
        "artifacts/.new-killed/content",
        "artifacts/damaged/prompts-1",
    ):
        (home / folder).mkdir(parents=True)
        (home / folder / "checkpoint").write_text("weights")
        (home / folder / "lock").touch()
    killed, damaged = (aged(home / "artifacts" / name, 100) for name in (".new-killed", "damaged/prompts-1"))
    abandoned, worked_in, new = (home / "work" / f"train-{number}" for number in (1, 2, 3))
    aged(abandoned, 100)
    aged(worked_in, 100)
    engine = connect(postgres_url)
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn)
        counted = world.add_counts(conn, cluster_set)
        model = world.add_model(conn, cluster_set, counted, adapter.name)
        of = next(place for place in needed if place.parent.name == "mappings")
        request = world.request(model, counted)
        mapping = MappingRef(of.as_uri(), of.name, 12, 11, computed=world.COMPUTED)
        table = tables.add(conn, replace(request, mapping=mapping), world.mapping()).version
        evaluations.add(conn, table, counted, world.evaluation())
    engine.dispose()

    found = await retention.prunable(context)
    assert found.open_since is None
    assert all(place.exists() for place in (*old, *needed, killed, damaged, abandoned))  # it was only looked at
    expected = {place.absolute().as_uri() for place in (*old, killed, damaged, abandoned, worked_in)}
    assert {each.uri for each in found.files} == expected
    assert found.bytes > 0
    with (worked_in / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = retention.prune(context, found)
    assert {each.uri for each in done.files} == expected - {worked_in.absolute().as_uri()}
    assert not any(place.exists() for place in (*old, killed, damaged, abandoned))
    assert all(place.exists() for place in (*needed, worked_in, new))

    # Another that had looked at the same time: it finds nothing any more but what was worked in.
    late = retention.prune(context, found)
    assert {each.uri for each in late.files} == {worked_in.absolute().as_uri()}
    assert [path.name for path in (home / "artifacts").glob(".new-*")] == []


async def test_a_clock_that_is_ahead_makes_nothing_old(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    new = keep(context, "prompts", "of last week", 5)
    monkeypatch.setattr(retention, "datetime", off_by(timedelta(days=400)))
    found = await retention.prunable(context)
    assert found.files == []
    assert found.before < datetime.now(UTC) - timedelta(days=29)
    assert new.exists()


async def test_nothing_that_an_open_run_may_have_made_goes(context: Context, dev_server: WorkflowEnvironment) -> None:
    before = datetime.now(UTC)
    handle = await dev_server.client.start_workflow("FineTune", id="waits-for-long", task_queue=policies.WORKFLOWS)
    try:
        for _ in range(1000):  # what is shown of a start comes a moment later
            found = await retention.prunable(context)
            if found.open_since is not None:
                break
            time.sleep(0.1)
        assert found.open_since is not None
        assert found.open_since >= before.replace(microsecond=0)
        assert found.before < found.open_since  # 30 days are longer ago
    finally:
        await handle.terminate()
