"""The page over a real Postgres with something to decide, asked by Starlette's own client."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from temporalio.testing import WorkflowEnvironment

from driftline.contracts import RunIds
from driftline.embedded import tokens
from driftline.operations.context import Context
from driftline.settings import Settings, Web
from driftline.web.app import create_app
from tests.report import experiment_examples
from tests.web import world

REVIEW = "3f2a9c01d4e7"


@pytest.fixture(scope="module")
def filled(make_database: Callable[[], str]) -> str:
    """For tests that only look: two published tables, a candidate that waits, an experiment, and what a cadence did."""
    url = make_database()
    context = Context(Settings(postgres_url=url, temporal_address="127.0.0.1:1"))
    with context.engine.begin() as connection:
        world.fill(connection, RunIds("rag-refresh-2026-10-03", "run-9"), review=REVIEW)
        experiment_examples.add(connection, experiment_examples.START)
        world.fill_replays(connection)
        world.fill_days(connection, 20)
    context.engine.dispose()
    return url


@pytest.fixture
def site(filled: str, dev_server: WorkflowEnvironment, tmp_path: Path) -> Callable[..., AbstractContextManager[TestClient]]:
    """Opens the page with these settings of `web`; nobody is logged in."""
    target = dev_server.client.service_client.config.target_host

    @contextmanager
    def opened(postgres_url: str = filled, peer: str = "127.0.0.1", **web: Any) -> Iterator[TestClient]:
        addresses: dict[str, Any] = {"temporal_address": target, "temporal_ui": "http://127.0.0.1:8233"}
        context = Context(Settings(postgres_url=postgres_url, home=tmp_path, web=Web(**web), **addresses))
        with TestClient(create_app(context), base_url="http://127.0.0.1:8244", client=(peer, 5000)) as client:
            yield client
        context.engine.dispose()

    return opened


@pytest.fixture
def owner(site: Callable[..., AbstractContextManager[TestClient]], tmp_path: Path) -> Iterator[TestClient]:
    """The page as the owner of the home sees it."""
    with site() as client:
        assert client.get("/login", params={"token": tokens.issue(tmp_path)}).status_code == 200
        yield client
