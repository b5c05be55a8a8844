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
from tests.web.test_pages import text


@pytest.fixture
def page(site: Callable[..., AbstractContextManager[TestClient]], postgres_url: str, tmp_path: Path) -> Callable[[], str]:
    def shown() -> str:
        with site(postgres_url=postgres_url) as client:
            client.get("/login", params={"token": tokens.issue(tmp_path)})
            answer = client.get("/experiments")
            assert answer.status_code == 200
            return text(answer.text)

    return shown


def test_without_an_experiment_it_says_how_to_start_one(page: Callable[[], str]) -> None:
    assert "There is no experiment yet: driftline experiment start" in page()


def test_it_says_what_the_experiment_says(page: Callable[[], str], postgres_url: str) -> None:
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
    with engine.begin() as conn:
        experiments.end(conn, "rag-2026-03", "stopped", "ana", "<b>enough</b>")
    assert "stopped by ana" in (shown := page())
    assert "“&lt;b&gt;enough&lt;/b&gt;”" in shown
    engine.dispose()
