"""A home is copied while a candidate waits, a model trains and schedules run, and another home goes on from the copy."""

import asyncio
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from temporalio.runtime import Runtime

from driftline import embedded, temporal_client
from driftline.operations import schedules
from driftline.settings import Settings
from tests.chaos.pipelines import MADE
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_kill import newest_checkpoint
from tests.end_to_end.test_table_of_counts import WINDOWS

COUNTS = ("--set", "channel=copied", "--set", "rag_refresh.answers=counts", *WINDOWS)
AT = ("run", "rag-refresh", "--wait", *COUNTS)
TRAINED = "fine-tune-2024-03-24"
TRAIN = ("run", "fine-tune", "--at", TRAINED[-10:], "--set", "channel=trained", "--set", "training.checkpoint_every=10")
SOON = ("--set", "notify.every=PT5S")
STATE = ("paused", "note", "next_starts")

pytestmark = pytest.mark.long


@dataclasses.dataclass(frozen=True)
class Copied:
    """The two homes, and what the commands said of the first when the copy was taken."""

    of: Stack
    to: Stack
    served: Any
    waits: Any
    schedules: dict[str, Any]


def trainer(stack: Stack) -> psutil.Process | None:
    found = (child for child in stack.worker().children() if "driftline.engines.train" in child.cmdline())
    return next(found, None) if newest_checkpoint(stack) else None


def listed(stack: Stack) -> dict[str, Any]:
    return {row["id"]: row for row in stack.json("schedule", "list")}


async def remove_schedules(stack: Stack) -> None:
    """Other tests of this stack begin without."""
    address = embedded.status(stack.home).temporal_address
    client = await temporal_client.connect(Settings(temporal_address=address), Runtime.default())
    for name in schedules.declared(Settings()):
        await client.get_schedule_handle(name).delete()


@pytest.fixture(scope="module")
def copied(stack: Stack, cluster_set: Any) -> Iterator[Copied]:
    served = stack.json(*AT, "--at", "2024-04-06")
    waits = stack.json(*AT, "--at", "2024-04-08", "--set", "gates.review=always", code=3)
    stack("schedule", "apply", *SOON)
    stack("schedule", "pause", "rag-refresh", "--note", "stocktaking")
    stack(*TRAIN)
    child = stack.until("a checkpoint", lambda: trainer(stack))
    child.suspend()  # in mid-training, for as long as the copy takes
    folder = Path(tempfile.mkdtemp(prefix="driftline-e2e-"))
    try:
        try:
            stack("backup", str(folder / "copy"))
            known = listed(stack)
            assert child.status() == psutil.STATUS_STOPPED
        finally:
            child.resume()
            asyncio.run(remove_schedules(stack))
        stack("review", "abort", waits["review_id"], "--as", "cem")  # the copy knows nothing of it
        copy = dataclasses.replace(stack, folder=folder)
        shutil.copy(stack.folder / "driftline.toml", folder)
        for name in ("events.csv", "items.csv", "llm"):
            (folder / name).symlink_to(stack.folder / name)
        copy("restore", str(folder / "copy"))
        copy("up")
        yield Copied(stack, copy, served, waits, known)
    finally:
        embedded.stop(folder / "state", drain_seconds=5)
        shutil.rmtree(folder)


def test_another_home_goes_on_where_the_copy_was_taken(copied: Copied) -> None:
    copy, served, waits = copied.to, copied.served, copied.waits
    assert copy.json("lookup", "0", "1", "--channel", "copied")["version"] == served["table"]
    assert waits["review_id"] in copy("review", "list")
    done = copy.json("review", "approve", waits["review_id"], "--as", "ada", "--wait")
    assert done["outcome"] == "published"
    assert copy.json("lookup", "0", "1", "--channel", "copied")["version"] == done["table"]
    # The same run again finds its version, and a new one gets the next.
    assert copy.json(*AT, "--at", "2024-04-06")["table"] == served["table"]
    assert copy.json(*AT, "--at", "2024-04-10")["table"] > done["table"]
    state = embedded.status(copy.home)
    with psycopg.connect(state.reader_url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT record_verdict(1, NULL, 'revoke', 'ada', '', 'login')")


def test_a_training_that_was_copied_in_its_middle_ends_with_the_same_table(copied: Copied) -> None:
    """It begins anew: checkpoints are not in the copy."""

    def made(stack: Stack) -> list[Any]:
        with closing(psycopg.connect(embedded.status(stack.home).postgres_url)) as connection:
            return [row for row in connection.execute(MADE, [[TRAINED]]).fetchall() if row[-1]]  # once it is published

    here, there = (stack.until("the fine-tune to end", lambda stack=stack: made(stack)) for stack in (copied.of, copied.to))  # type: ignore[misc]
    assert len(here) == 1
    assert there == here


def test_schedules_that_were_copied_go_on(copied: Copied) -> None:
    copy, before = copied.to, copied.schedules
    watch = before[schedules.WATCH]["last_started"]
    copy.until("the watch to start again", lambda: (listed(copy)[schedules.WATCH]["last_started"] or "") > (watch or ""))
    now = listed(copy)
    assert set(now) == set(before)
    for name in (schedules.FINE_TUNE, schedules.RAG_REFRESH):
        assert [now[name][fact] for fact in STATE] == [before[name][fact] for fact in STATE]
    assert (now[schedules.RAG_REFRESH]["paused"], now[schedules.RAG_REFRESH]["note"]) == (True, "stocktaking")
    copy("schedule", "resume", "rag-refresh")
    assert not listed(copy)[schedules.RAG_REFRESH]["paused"]
    assert copy.json("schedule", "apply", *SOON) == dict.fromkeys(now, "updated")
