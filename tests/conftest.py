"""A real Postgres and a real Temporal for every test that asks for one: one of each in a process."""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from driftline import embedded
from driftline.db.connection import migrate
from driftline.embedded import temporal
from driftline.operations.stack import add_search_attributes

TEMPLATE = "migrated"

settings.register_profile("driftline", deadline=None)  # another machine may be slower
settings.load_profile("driftline")


def pytest_configure(config: pytest.Config) -> None:
    """No test reads the settings that `make demo` has left in this checkout."""
    os.environ.setdefault("DRIFTLINE_HOME", str(Path(tempfile.gettempdir()) / f"driftline-no-home-{os.getpid()}"))
    gc.disable()  # while modules are loaded: their objects all stay
    if hasattr(config, "workerinput"):
        atexit.register(os._exit, 0)  # to free them one by one takes each worker seconds


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin, and what takes milliseconds ends: no worker waits for the other's last file."""
    turn = {room: n - len(LONGEST) for n, room in enumerate(LONGEST)} | dict.fromkeys(QUICK, 1)
    items.sort(key=lambda item: turn.get(item.nodeid.split("/")[1], 0))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are no name: those of a packed file have the clock in them, and two workers would not agree on what the tests are."""
    return argname if isinstance(val, bytes) else None


LONGEST = ("end_to_end", "engines", "activities", "web")
QUICK = ("dashboards", "interests", "replay", "report", "simulation")

SECOND_STACK = ("test_demo.py", "test_evidence.py", "test_new_items.py", "test_table_of_blend.py")
"""End-to-end tests that take about as long as the others together; all are long, so that `make test` starts one stack."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """File by file side by side, but the end-to-end tests in two parts: each part shares one stack."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return f"end_to_end {file.endswith(SECOND_STACK)}" if "/end_to_end/" in file else file

    return Together(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a server with a migrated template database. Not in pytest's folders: those are closed to Postgres' user."""
    home = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        url = embedded.start_postgres(home)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET fsync = off")  # nothing here has to outlive a power cut
            conn.execute("SELECT pg_reload_conf()")
            conn.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(_database(url, TEMPLATE))
        yield url
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def make_database(postgres_server: str) -> Callable[[], str]:
    """Makes a fresh migrated database and returns its URL; for fixtures of any scope. It lives as long as the server."""
    numbers = count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        with psycopg.connect(postgres_server, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return _database(postgres_server, name)

    return make


@pytest.fixture(scope="session")
async def dev_server() -> AsyncIterator[WorkflowEnvironment]:
    """A real dev server, for what the time-skipping server cannot do."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal.binary(), data_converter=pydantic_data_converter
    ) as environment:
        await add_search_attributes(environment.client)
        yield environment


@pytest.fixture
def postgres_url(make_database: Callable[[], str]) -> str:
    """URL of a fresh migrated database, for this test alone."""
    return make_database()


def _database(url: str, name: str) -> str:
    return url.rpartition("/")[0] + "/" + name
