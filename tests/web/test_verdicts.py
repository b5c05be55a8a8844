"""Verdicts and moves of channels through the page: on a real run of a real Temporal, and only for what was shown."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient
from temporalio.client import WorkflowExecutionStatus

from driftline.contracts import Gates, Verdict
from driftline.db import reviews as db_reviews
from driftline.db.reviews import TableVerdict
from driftline.operations import channels, reviews, verdicts
from driftline.operations.context import Context
from driftline.settings import Web
from driftline.web.app import create_app
from tests.db import world
from tests.operations.test_reviews import Shop, shop

__all__ = ["shop"]

PEOPLE: dict[str, Any] = {
    "login": "proxy",
    "proxies": ("127.0.0.1",),
    "viewers": ("vic",),
    "reviewers": ("ada", "ben"),
    "operators": ("oda",),
}


class Visitor:
    """Somebody at the page, who fills in its forms as they are shown."""

    def __init__(self, client: TestClient, name: str) -> None:
        self.client, self.headers = client, {"x-forwarded-user": name}

    def get(self, place: str) -> str:
        answer = self.client.get(place, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    def form(self, place: str, page: str | None = None) -> dict[str, str]:
        """The hidden fields of the page's own form."""
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page or self.get(place)))

    def send(self, place: str, **fields: str) -> Any:
        return self.client.post(place, data=fields, headers=self.headers)

    def decide(self, review: str, decision: str, reason: str = "", form: dict[str, str] | None = None) -> Any:
        place = f"/reviews/{review}"
        return self.send(place, **(form or self.form(place)), decision=decision, reason=reason)


@pytest.fixture
def page(shop: Shop) -> Callable[..., AbstractContextManager[TestClient]]:
    """The page on the shop's servers, with a context of its own."""

    @contextmanager
    def opened(gates: Gates = Gates(), **web: Any) -> Iterator[TestClient]:  # noqa: B008
        settings = shop.context.settings.model_copy(update={"web": Web(**{**PEOPLE, **web}), "gates": gates})
        context = Context(settings)
        with TestClient(create_app(context), base_url="http://127.0.0.1:8244", client=("127.0.0.1", 5000)) as client:
            yield client
        context.engine.dispose()

    return opened


Page = Callable[..., AbstractContextManager[TestClient]]


async def test_an_approval_publishes_under_the_name_that_logged_in(shop: Shop, page: Page) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        with page() as client:
            ada = Visitor(client, "ada")
            assert review.review_id in ada.get("/")
            answer = ada.decide(review.review_id, "approve", "the misses\nare synonyms")
            assert (answer.status_code, answer.url.path) == (200, f"/reviews/{review.review_id}")
            assert "Your verdict is on record" in answer.text
        assert (await handle.result()).outcome == "published"
    stored = shop.review(review.candidate)
    assert (stored.decision, stored.reviewer, stored.known_by, stored.reason) == (
        *("approve", "ada", "proxy"),
        "the misses are synonyms",
    )
    (served,) = channels.served(shop.context)
    assert (served.version, served.actor) == (review.candidate, "ada")


@pytest.mark.parametrize("decision", ["approve", "abort"])
async def test_against_a_gate_and_for_an_abort_a_reason_is_needed(shop: Shop, page: Page, decision: str) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        with page() as client:
            ada = Visitor(client, "ada")
            refused = ada.decide(review.review_id, decision, "   ")
            assert refused.status_code == 409
            assert "a reason is on record" in refused.text
            assert reviews.get(shop.context, review.review_id).decision is None
            assert ada.decide(review.review_id, decision, "because").status_code == 200
        assert (await handle.result()).outcome == ("published" if decision == "approve" else "aborted")


async def decide_elsewhere(shop: Shop, review: db_reviews.Review) -> None:
    given = Verdict(review.review_id, "abort", "cem", "no", known_by="oidc")
    assert (await verdicts.record(shop.context, review, given)).accepted


async def serve_another(shop: Shop, review: db_reviews.Review) -> None:
    with shop.context.engine.begin() as connection:
        good = world.add_good_table(connection, day=1, shift=1)
    channels.publish(shop.context, good, review.channel, "cem", reason="meanwhile")


async def another_candidate(shop: Shop, review: db_reviews.Review) -> None:
    await shop.opened(await shop.refresh(supersede="never"))


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (decide_elsewhere, "it was decided, or another candidate came"),
        (serve_another, "the channel serves another table"),
        (another_candidate, "it was decided, or another candidate came"),
    ],
)
async def test_what_changed_meanwhile_is_said_and_nothing_is_done(shop: Shop, page: Page, happens: Any, said: str) -> None:
    async with shop.worker():
        handle = await shop.refresh(supersede="never")
        review = await shop.opened(handle)
        with page() as client:
            ada = Visitor(client, "ada")
            form = ada.form(f"/reviews/{review.review_id}")
            await happens(shop, review)
            before = reviews.get(shop.context, review.review_id)
            answer = ada.decide(review.review_id, "approve", "fine", form)
            assert answer.status_code == 409
            assert f"nothing was done, because this changed since you looked: {said}" in answer.text
            assert reviews.get(shop.context, review.review_id) == before
        for waits in {handle.id, *(other.workflow_id for other in reviews.waiting(shop.context))}:
            found = shop.environment.client.get_workflow_handle(waits)
            if (await found.describe()).status == WorkflowExecutionStatus.RUNNING:
                await found.terminate()


async def test_only_reviewers_decide_and_only_by_a_form_of_their_own(shop: Shop, page: Page) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        place = f"/reviews/{review.review_id}"
        with page() as client:
            vic = Visitor(client, "vic")
            assert "You may look. A reviewer decides." in vic.get(place)
            form = Visitor(client, "ada").form(place)
            assert vic.decide(review.review_id, "approve", "x", form).status_code == 403
            client.cookies.clear()
            ada = Visitor(client, "ada")
            assert ada.decide(review.review_id, "approve", "x", form).status_code == 403  # a form of another session
            own = ada.form(place)
            assert ada.decide(review.review_id, "approve", "x", {**own, "csrf": ""}).status_code == 403
            for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
                sent = {**own, "decision": "approve", "reason": "x"}
                assert client.post(place, data=sent, headers={**ada.headers, **headers}).status_code == 403
            assert ada.decide(review.review_id, "revoke", "x").status_code == 400
            assert ada.send(place, **own, decision="abort", reason="x" * 70_000).status_code == 413
            assert ada.decide(review.review_id, "abort", "\u202enot").status_code == 409
        assert reviews.get(shop.context, review.review_id).decision is None
        await handle.terminate()


async def test_the_settings_of_the_gates_hold_here_too(shop: Shop, page: Page) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        with page(Gates(reviewers=("ben",))) as client:
            assert "ada is not among gates.reviewers" in Visitor(client, "ada").decide(review.review_id, "approve", "x").text
            assert Visitor(client, "ben").decide(review.review_id, "approve", "x").status_code == 200
        assert (await handle.result()).outcome == "published"


async def test_two_people_approve_against_a_gate(shop: Shop, page: Page) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        with page(two_persons=True) as client:
            ada, ben = Visitor(client, "ada"), Visitor(client, "ben")
            for _ in range(2):
                first = ada.decide(review.review_id, "approve", "synonyms")
                assert "the first of two approvals" in first.text
            assert reviews.get(shop.context, review.review_id).decision is None
            assert "ada would approve" in ben.get(f"/reviews/{review.review_id}")
            assert ben.decide(review.review_id, "approve", "agreed").status_code == 200
        assert (await handle.result()).outcome == "published"
    stored = shop.review(review.candidate)
    assert (stored.reviewer, stored.reason) == ("ben", "agreed (first ada: synonyms)")


async def test_one_person_aborts_alone(shop: Shop, page: Page) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        with page(two_persons=True) as client:
            assert Visitor(client, "ada").decide(review.review_id, "abort", "no").status_code == 200
        assert (await handle.result()).outcome == "aborted"


# --- channels ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(shop: Shop) -> list[int]:
    """Two good tables, both served, one after the other."""
    with shop.context.engine.begin() as connection:
        good = [world.add_good_table(connection, day=10 + day, shift=day) for day in range(2)]
    for table in good:
        channels.publish(shop.context, table, "shop/b", "driftline", reason="passed")
    return good


def test_a_channel_is_rolled_back_in_two_clicks_with_a_reason(shop: Shop, page: Page, moved: list[int]) -> None:
    with page() as client:
        oda = Visitor(client, "oda")
        place = re.search(r'href="(/channels/[^"]+/rollback)"', oda.get("/channels"))[1]  # type: ignore[index]
        form = oda.form(place)
        assert oda.send(place, **form, to=str(moved[0]), reason=" ").status_code == 409
        done = oda.send(place, **form, to=str(moved[0]), reason="complaints")
        assert f"serves table {moved[0]} again" in done.text
        (move, *_) = channels.history(shop.context, "shop/b")
        assert (move.action, move.to_version, move.actor, move.reason) == ("rollback", moved[0], "oda", "complaints")
        again = oda.send(place, **form, to=str(moved[1]), reason="no")
        assert (again.status_code, "look again" in again.text) == (409, True)
        assert channels.history(shop.context, "shop/b")[0] == move


def on_record(shop: Shop, table: int) -> list[TableVerdict]:
    with shop.context.engine.connect() as connection:
        return db_reviews.verdicts_about(connection, table)


def test_a_reviewer_takes_back_what_was_approved(shop: Shop, page: Page, moved: list[int]) -> None:
    """Bound to what was shown; the channel says so from then on, and offers the way back."""
    with page() as client:
        ada, place = Visitor(client, "ada"), f"/tables/{moved[1]}/revoke"
        assert f'href="{place}"' in ada.get(f"/tables/{moved[1]}")
        assert f'href="{place}"' not in Visitor(client, "vic").get(f"/tables/{moved[1]}")
        form = ada.form(place)
        assert Visitor(client, "vic").send(place, **form, reason="no").status_code == 403
        assert ada.send(place, **(form | {"csrf": ""}), reason="broken log").status_code == 403
        unsaid = ada.send(place, **form, reason=" ")
        assert (unsaid.status_code, "write why" in unsaid.text) == (409, True)
        done = ada.send(place, **form, reason="broken log")
        assert (done.status_code, "not approved" in done.text) == (200, True)
        (verdict,) = on_record(shop, moved[1])
        assert (verdict.decision, verdict.reviewer, verdict.known_by, verdict.reason) == ("revoke", "ada", "proxy", "broken log")
        again = ada.send(place, **form, reason="broken log")
        assert (again.status_code, "changed since you looked" in again.text) == (409, True)
        assert len(on_record(shop, moved[1])) == 1
        assert "revoked by ada" in re.sub("<[^>]+>", "", ada.get(f"/tables/{moved[1]}"))
        assert "No longer approved: revoked by ada" in re.sub("<[^>]+>", "", ada.get("/channels"))
        assert "there is nothing to take back" in ada.get(place)


def test_only_operators_move_channels_and_only_to_what_may_be_served(shop: Shop, page: Page, moved: list[int]) -> None:
    with page() as client:
        assert "/rollback" not in Visitor(client, "ada").get("/channels")
        oda = Visitor(client, "oda")
        form = oda.form("/channels/shop%2Fb/rollback")
        verdicts.revoke(shop.context, moved[0], "cem", "wrong log")
        sent = {**form, "to": str(moved[0]), "reason": "x"}
        assert Visitor(client, "ada").send("/channels/shop%2Fb/rollback", **sent).status_code == 403
        refused = oda.send("/channels/shop%2Fb/rollback", **sent)
        assert (refused.status_code, "revoke by cem" in refused.text) == (409, True)
        assert len(channels.history(shop.context, "shop/b")) == 2
