"""Connections to a migrated database."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine

from driftline.db.connection import connect


@pytest.fixture(scope="session")
def shared_engine(make_database: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(make_database())
    yield engine
    engine.dispose()


@pytest.fixture
def conn(shared_engine: Engine) -> Iterator[Connection]:
    """A transaction that is rolled back when the test ends."""
    with shared_engine.connect() as connection:
        yield connection


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own, for tests that commit."""
    own = connect(postgres_url)
    yield own
    own.dispose()
