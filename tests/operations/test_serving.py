from collections.abc import Callable
from pathlib import Path

import pytest

from driftline.db.connection import connect
from driftline.operations import serving
from driftline.operations.context import Context
from driftline.settings import Settings
from tests.serving import versions


@pytest.fixture
def context(tmp_path: Path, make_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.chdir(tmp_path)
    return Context(Settings(home=tmp_path, postgres_url=make_database(), temporal_address="nowhere:1"))


def test_a_question_gets_its_answer(context: Context) -> None:
    engine = connect(context.settings.postgres_url)
    with engine.begin() as conn:
        version = versions.add(conn, 1)
    versions.publish(engine, version)
    engine.dispose()
    found = serving.ask(context, {"items": ["item-0", "item-3"]})
    interest = version.next(version.interest(0), version.interest(3))
    assert (found["version"], found["next"][0]["name"]) == (version.version, version.name(interest))
    with pytest.raises(RuntimeError, match="unknown field `item`"):
        serving.ask(context, {"item": []})


def test_where_nothing_is_published_it_says_so(context: Context) -> None:
    with pytest.raises(RuntimeError, match="nothing is published on channel 'default'"):
        serving.ask(context, {})


def test_a_server_that_does_not_start_is_said(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_SERVING__PROCESSES", "none")
    with pytest.raises(RuntimeError, match="does not start here"):
        serving.ask(context, {})
