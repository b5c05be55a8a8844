"""The page as the fourth part of what `driftline up` starts."""

import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftline import embedded
from driftline.db.connection import migrate
from driftline.embedded import processes


@pytest.fixture
def home() -> Iterator[Path]:
    """Not in pytest's folders: those are closed to Postgres' user."""
    folder = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    migrate(embedded.up(folder / "home").postgres_url)
    yield folder / "home"
    embedded.stop(folder / "home", drain_seconds=5)
    shutil.rmtree(folder)


def test_it_is_started_once_kept_at_its_address_and_stopped_with_the_rest(home: Path) -> None:
    first = embedded.start_web(home, 0)
    assert first.web is not None
    with urllib.request.urlopen(f"{first.web_address}/health", timeout=20) as answer:
        assert answer.read() == b"ok"
    assert embedded.start_web(home, 0) == first == embedded.status(home)
    (home / "state.json").unlink()
    embedded.up(home)
    second = embedded.start_web(home, 0)  # what was forgotten is ended first
    assert second.web is not None
    assert not processes.lives(first.web)
    embedded.stop(home)
    assert not processes.lives(second.web)
    assert (embedded.status(home).web, embedded.status(home).web_address) == (None, second.web_address)
