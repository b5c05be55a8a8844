"""No page asks or shows more where there are more interests: of 761 it has to be as quick."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from driftline.contracts import RunIds
from driftline.embedded import tokens
from driftline.operations import changes, reviews
from driftline.operations.context import Context
from driftline.settings import Settings
from tests.web import world
from tests.web.conftest import REVIEW

PAGES = ("/", f"/reviews/{REVIEW}", "/channels", "/tables", "/tables/3", "/changes?before=1&after=3", "/explore?first=1&second=3")
STATEMENTS = 30


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """What is asked of Postgres meanwhile."""
    asked: list[str] = []
    note = lambda *args: asked.append(args[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def many(make_database: Callable[[], str]) -> str:
    """Five times as many interests, and 27 times as many pairs."""
    url = make_database()
    context = Context(Settings(postgres_url=url, temporal_address="127.0.0.1:1"))
    names = tuple(f"interest {number}" for number in range(60))
    with context.engine.begin() as connection:
        world.fill(connection, RunIds("rag-refresh-2026-10-03", "run-9"), names, REVIEW)
    context.engine.dispose()
    return url


def test_more_interests_are_no_more_statements_and_hardly_longer_pages(
    site: Callable[..., AbstractContextManager[TestClient]],
    filled: str,
    many: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("driftline.web.app._warm", lambda context: None)  # whose statements are none of a page's
    seen: list[dict[str, tuple[int, int]]] = []
    for url in (filled, many):
        with site(url) as client:
            client.get("/login", params={"token": tokens.issue(tmp_path)})
            pages = {}
            for place in PAGES:
                client.get(place)  # versions are read once
                with counted(client.app.state.context.engine) as asked:  # type: ignore[attr-defined]
                    size = len(client.get(place).text)
                pages[place] = (len(asked), size)
            seen.append(pages)
    few, more = seen
    for place in PAGES:
        assert more[place][0] == few[place][0] <= STATEMENTS, place
        assert more[place][1] < 2 * few[place][1], place


def test_a_version_is_read_once(owner: TestClient) -> None:
    owner.get("/changes?before=1&after=3")
    read = changes._read_answers.cache_info().misses, changes._read_traffic.cache_info().misses
    for place in ("/changes?before=1&after=3", "/changes?before=1&after=3&interest=meat", f"/reviews/{REVIEW}"):
        owner.get(place)
    now = changes._read_answers.cache_info().misses, changes._read_traffic.cache_info().misses
    assert now[0] - read[0] <= 1  # the review compares with another table
    assert now[1] == read[1]


def test_a_command_does_not_read_what_only_the_page_of_a_review_shows(filled: str) -> None:
    context = Context(Settings(postgres_url=filled, temporal_address="127.0.0.1:1"))  # no page's: that reads ahead
    only_of_the_page = ("consent", "table_overview", "table_lineage", "channel_overview")
    with counted(context.engine) as asked:
        shown = reviews.case(context, REVIEW)
        assert all(any(place in statement for statement in asked) for place in only_of_the_page)
        asked.clear()
        evidence = reviews.evidence(context, REVIEW)
    assert not [statement for statement in asked for place in only_of_the_page if place in statement]
    assert (evidence.review, evidence.report, evidence.inexact) == (shown.review, shown.report, shown.inexact)
    context.engine.dispose()
