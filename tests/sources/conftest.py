"""Files that a test writes, and the source that they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftline.contracts import Source
from tests.sources.files import Files


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Source]:
    """Writes files by name and returns the source of their glob; `{tmp}` in a setting is their folder."""

    def written(files: Files, glob: str = "*.csv", **settings: str) -> Source:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source(events=str(tmp_path / glob), **{name: value.format(tmp=tmp_path) for name, value in settings.items()})

    return written
