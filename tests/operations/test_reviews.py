"""Reviews on a real Temporal and a real Postgres; only what computes is a stand-in."""

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.testing import WorkflowEnvironment

from driftline.activities.publication import PublicationActivities
from driftline.activities.resources import Resources
from driftline.activities.reviews import ReviewActivities
from driftline.commands import review as command
from driftline.contracts import Gates, RagRefreshInput, Source, Verdict, Windows
from driftline.db import reviews as db_reviews
from driftline.operations import channels, measurements, reviews, verdicts
from driftline.operations.context import Context
from driftline.settings import Settings
from tests.db import world
from tests.db.logins import logged_in
from tests.workflows.conftest import running
from tests.workflows.resetting import reset
from tests.workflows.steps import Steps
from tests.workflows.test_review import by_update, verdict, waiting
from tests.workflows.test_runs import Handle, start

STOPPED = world.evaluation("recall")


@dataclass
class Shop:
    """Candidates in Postgres, judged bad, and the runs that offer them."""

    context: Context
    environment: WorkflowEnvironment
    tables: list[int]
    folder: Path

    @asynccontextmanager
    async def worker(self, gates: Gates = Gates(), principals: bool = False) -> AsyncIterator[None]:  # noqa: B008
        resources = Resources(self.context.engine, self.folder, gates, principals=principals)
        acts = ReviewActivities(resources)
        real: list[Any] = [acts.open_review, acts.record_verdict, acts.expire_review, acts.closed_review, acts.supersede]
        steps = Steps(evaluations=[STOPPED], tables=list(self.tables), real=[*real, PublicationActivities(resources).publish])
        async with running(self.environment, steps):
            yield

    async def refresh(self, **gates: Any) -> Handle:
        return await start(self.environment, RagRefreshInput(Source(), Windows(28, 7), gates=Gates(**gates)))

    def review(self, table: int) -> db_reviews.Review:
        with self.context.engine.connect() as connection:
            (found,) = (v for v in db_reviews.verdicts_about(connection, table) if v.review_id)
            assert found.review_id
            return db_reviews.get(connection, found.review_id)

    async def opened(self, handle: Handle) -> db_reviews.Review:
        review_id = (await waiting(handle)).review_id
        assert review_id
        return reviews.get(self.context, review_id)


@pytest.fixture
def shop(dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path) -> Iterator[Shop]:
    target = dev_server.client.service_client.config.target_host
    context = Context(Settings(postgres_url=postgres_url, temporal_address=target, home=tmp_path))
    with context.engine.begin() as connection:
        tables = [world.add_table(connection, day=day, kind="rag") for day in range(2)]
        for table in tables:
            world.evaluate(connection, table, "recall")
    yield Shop(context, dev_server, tables, tmp_path)
    context.engine.dispose()


async def test_a_newer_refresh_supersedes_the_one_that_waits(shop: Shop) -> None:
    """A week of silence: the schedule goes on beside it, and the newest candidate is the one that waits."""
    async with shop.worker():
        first = await shop.refresh()
        await shop.opened(first)
        second = await shop.refresh()
        assert (await first.result()).outcome == "superseded"
        newer = await shop.opened(second)
        assert [review.candidate for review in reviews.waiting(shop.context)] == [newer.candidate] == [shop.tables[1]]
        assert (await verdicts.submit(shop.context, newer, "approve", "ada", "")).accepted
        assert (await second.result()).outcome == "published"
    older = shop.review(shop.tables[0])
    assert (older.decision, older.reviewer, older.known_by) == ("superseded", "driftline", "system")


async def test_never_superseding_leaves_both(shop: Shop) -> None:
    async with shop.worker():
        handles = [await shop.refresh(supersede="never")]
        await shop.opened(handles[0])
        handles.append(await shop.refresh(supersede="never"))
        await shop.opened(handles[1])
        assert len(reviews.waiting(shop.context)) == 2
        for handle in handles:
            await handle.terminate()


async def test_of_two_shells_the_loser_is_told_who_won(shop: Shop) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        sent = [verdicts.submit(shop.context, review, "approve", name, "") for name in ("ada", "ben", "cem", "dan")]
        replies = await asyncio.gather(*sent)
        assert [reply.accepted for reply in replies].count(True) == 1
        await handle.result()
        winner = reviews.get(shop.context, review.review_id).reviewer
        assert all(str(winner) in reply.message for reply in replies)
        late = await verdicts.submit(shop.context, review, "abort", "eve", "")
        assert (late.accepted, f"approve by {winner}" in late.message) == (False, True)


async def test_a_reset_run_is_decided_by_the_review_that_postgres_knows(shop: Shop) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        again = await reset(shop.environment.client, handle, "open_gate")
        assert (await shop.opened(again)).review_id == review.review_id
        assert (await verdicts.submit(shop.context, review, "approve", "ada", "")).accepted
        assert (await again.result()).outcome == "published"


@pytest.mark.parametrize("gone", ["terminated", "past retention"])
async def test_a_review_whose_run_is_gone_is_closed_and_said_so(shop: Shop, gone: str) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        await handle.terminate()
    if gone == "past retention":
        client = shop.environment.client
        execution = WorkflowExecution(workflow_id=handle.id)
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
        )
        for _ in range(1000):
            if not await verdicts.is_running(shop.context, review):
                break
            await asyncio.sleep(0.05)
    reply = await verdicts.submit(shop.context, review, "approve", "ada", "")
    assert (reply.accepted, "has ended: expired by driftline" in reply.message) == (False, True)
    assert reviews.waiting(shop.context) == []


async def test_a_revoke_comes_after_the_end_of_the_run(shop: Shop) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        assert (await verdicts.submit(shop.context, review, "approve", "ada", "")).accepted
        assert (await handle.result()).outcome == "published"
    assert "one line" in verdicts.revoke(shop.context, review.candidate, "ben\x1b[2J", "").message
    assert verdicts.revoke(shop.context, review.candidate, "ben", "wrong log").accepted
    (served,) = channels.served(shop.context)
    assert not served.approved
    assert "nothing to revoke" in verdicts.revoke(shop.context, review.candidate, "cem", "").message


async def test_who_may_decide(shop: Shop) -> None:
    """By the worker's settings: those of the run say otherwise, and whoever starts a run writes them."""
    async with shop.worker(Gates(reviewers=("ada",))):
        handle = await shop.refresh(reviewers=("eve",))
        review = await shop.opened(handle)
        refused = await verdicts.submit(shop.context, review, "approve", "eve", "")
        assert (refused.accepted, "eve is not among gates.reviewers" in refused.message) == (False, True)
        await handle.signal("verdict", verdict(review.review_id, reviewer="eve"))
        assert (await by_update(handle, verdict(review.review_id, reviewer="ada"))).accepted
        assert (await handle.result()).outcome == "published"


async def test_a_claimed_name_can_be_refused_and_a_known_one_counts(shop: Shop) -> None:
    strict = Gates(claimed_names=False)
    async with shop.worker(strict):
        handle = await shop.refresh()
        review = await shop.opened(handle)
        refused = await verdicts.submit(shop.context, review, "approve", "ada", "")
        assert (refused.accepted, "only claimed" in refused.message) == (False, True)
        shop.context.settings = replace_gates(shop.context.settings, strict)
        assert not verdicts.revoke(shop.context, review.candidate, "ada", "", "claimed").accepted
        given = Verdict(review.review_id, "approve", "ada", "logged in", known_by="oidc")
        assert (await verdicts.record(shop.context, review, given)).accepted
        assert (await handle.result()).outcome == "published"
        assert not (await verdicts.record(shop.context, review, given)).accepted
    assert shop.review(review.candidate).known_by == "oidc"


async def test_the_command_line_decides_by_login(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where claimed names are refused; and what the environment says of the user is a claim."""
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "eve")
    strict = Gates(claimed_names=False)
    shop.context.settings = replace_gates(shop.context.settings, strict)
    async with shop.worker(strict):
        handle = await shop.refresh()
        review = await shop.opened(handle)
        assert "only claimed" in (await command.submit(shop.context, review, "approve", "ada", "")).message
        assert "one line" in (await command.submit(shop.context, review, "approve", None, "\x07")).message
        assert (await command.submit(shop.context, review, "approve", None, "I looked")).accepted
        assert (await handle.result()).outcome == "published"
        assert "has ended: approve by" in (await command.submit(shop.context, review, "abort", None, "")).message
    decided = shop.review(review.candidate)
    assert (decided.reviewer, decided.known_by) == (pwd.getpwuid(os.geteuid()).pw_name, "login")


async def test_a_reviewer_of_postgres_decides_under_that_name(shop: Shop) -> None:
    """With nothing but the rights of a reviewer, and no way to another name."""
    async with shop.worker(Gates(claimed_names=False)):
        handle = await shop.refresh()
        review = await shop.opened(handle)
        with logged_in(shop.context.engine, "reviewer") as url:
            theirs = Context(shop.context.settings.model_copy(update={"postgres_url": url}))
            name = verdicts.login(theirs)
            forged = Verdict(review.review_id, "approve", "ben", known_by="oidc")
            assert f"you are {name} here" in (await verdicts.record(theirs, review, forged)).message
            assert (await command.submit(theirs, review, "approve", None, "")).accepted
            assert (await handle.result()).outcome == "published"
            assert "has ended" in (await command.submit(theirs, review, "abort", None, "")).message
            theirs.engine.dispose()
    assert (shop.review(review.candidate).reviewer, shop.review(review.candidate).known_by) == (name, "login")


async def test_a_verdict_that_the_run_does_not_hear_of_is_on_record_and_said_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)

        async def away(*_: Any) -> Any:
            await handle.terminate()  # after the caller asked whether it runs
            return handle

        monkeypatch.setattr(verdicts, "is_running", lambda *_: asyncio.sleep(0, True))
        monkeypatch.setattr(verdicts, "_opener", away)
        given = Verdict(review.review_id, "abort", "ada", known_by="login")
        reply = await verdicts.record(shop.context, review, given)
    assert (reply.accepted, "was not told" in reply.message) == (True, True)
    assert shop.review(review.candidate).decision == "abort"


def replace_gates(settings: Settings, gates: Gates) -> Settings:
    return settings.model_copy(update={"gates": gates})


def test_another_request_is_another_measurement(shop: Shop) -> None:
    """Whoever asks with other settings is not given the numbers of a run that is under way."""
    from tests.replay.requests import MEASURE

    other = replace(MEASURE, measures=replace(MEASURE.measures, window_days=7))
    names = {measurements.workflow_id("drift", asked) for asked in (MEASURE, MEASURE, other)}
    assert len(names) == 2
    assert all(name.startswith("evaluate-drift-2017-11-20-2017-11-27-") for name in names)
