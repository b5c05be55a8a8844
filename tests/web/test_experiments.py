"""The page of the live experiments: what each says, and who split the users anew."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from driftline.contracts import RunIds
from driftline.db import experiments
from driftline.db.connection import connect
from driftline.embedded import tokens
from tests.report import experiment_examples
from tests.web import world
from tests.web.test_pages import text


@pytest.fixture
def page(site: Callable[..., AbstractContextManager[TestClient]], postgres_url: str, tmp_path: Path) -> Callable[..., str]:
    def shown(place: str = "/experiments", status: int = 200, tags: bool = False) -> str:
        with site(postgres_url=postgres_url) as client:
            client.get("/login", params={"token": tokens.issue(tmp_path)})
            answer = client.get(place)
            assert answer.status_code == status
            return answer.text if tags else text(answer.text)

    return shown


def test_without_an_experiment_it_says_how_to_start_one(page: Callable[..., str]) -> None:
    assert "There is no experiment yet: driftline experiment start" in page()


def test_it_says_what_the_experiment_says(page: Callable[..., str], postgres_url: str) -> None:
    engine = connect(postgres_url)
    with engine.begin() as conn:
        experiment_examples.add(conn, experiment_examples.START)
        experiments.register(conn, experiment_examples.later("empty"), RunIds("experiment-empty", "run"))
    shown = page()
    for words in (
        "rag-2026-03 treatment against control, from 2026-03-02",
        "running 2 of 14 days measured",
        "satisfied rose in treatment after 2 days",
        "complaints (guardrail) −20.00 % −30.00 to −10.00 % −25.00 to −15.00 % worse",
        "no bound: control may be 0",
        "Users have changed arms: serving.channels is {}, and was",
        "empty treatment against control",
        "nothing measured yet",
    ):
        assert words in shown
    assert "<title>2026-03-03 treatment: table 12</title>" in page(tags=True)
    with engine.begin() as conn:
        experiments.end(conn, "rag-2026-03", "stopped", "ana", "<b>enough</b>")
    assert "stopped by ana" in (shown := page())
    assert "“&lt;b&gt;enough&lt;/b&gt;”" in shown
    engine.dispose()


def test_one_has_a_page_of_its_own_where_links_lead(page: Callable[..., str], postgres_url: str) -> None:
    engine = connect(postgres_url)
    with engine.begin() as conn:
        experiment_examples.add(conn, experiment_examples.START)
        experiments.register(conn, experiment_examples.later("another"), RunIds("experiment-another", "run"))
    engine.dispose()
    shown = page("/experiments/rag-2026-03")
    assert "satisfied rose in treatment after 2 days" in shown
    assert "another treatment" not in shown
    assert "no experiment" in page("/experiments/nothing", 404)


def test_a_review_of_what_it_would_ship_says_first_what_it_has_found(page: Callable[..., str], postgres_url: str) -> None:
    engine = connect(postgres_url)
    with engine.begin() as conn:
        world.fill(conn, RunIds("ship-rag-2026-03", "run"), review="5h1p")
    assert "What the experiment says" not in page("/reviews/5h1p"), "there is no experiment of that name"
    with engine.begin() as conn:
        experiment_examples.add(conn, experiment_examples.START)
    engine.dispose()
    shown = page("/reviews/5h1p")
    order = [
        "treatment against control on live users, 2 of 14 days",
        "The guardrail complaints got worse",
        "What the report says",
    ]
    assert sorted(shown.index(words) for words in order) == [shown.index(words) for words in order]
    assert '<a href="/experiments/rag-2026-03">' in page("/reviews/5h1p", tags=True)
