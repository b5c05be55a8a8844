"""Artifacts are named by their content, written once and never changed."""

from pathlib import Path

import pytest

from activities.artifacts import Artifacts, hash_folder, local_path
from contracts import BadInput


def stored(artifacts: Artifacts, files: dict[str, str]) -> tuple[str, str]:
    with artifacts.folder() as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        return artifacts.store("things", folder)


def test_the_address_is_the_content(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    uri, digest = stored(artifacts, {"a": "1", "sub/b": "2"})
    assert hash_folder(local_path(uri)) == digest
    assert uri.endswith(digest)
    assert (local_path(uri) / "sub" / "b").read_text() == "2"
    others = [{"a": "1", "sub/b": "3"}, {"a": "1", "sub/c": "2"}, {"a": "1"}, {"a": "12", "sub/b": ""}]
    assert len({digest} | {stored(artifacts, other)[1] for other in others}) == 1 + len(others)


def test_storing_the_same_again_keeps_the_first_and_leaves_no_scrap(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    uri, digest = stored(artifacts, {"a": "1"})
    inode = (local_path(uri) / "a").stat().st_ino
    assert stored(artifacts, {"a": "1"}) == (uri, digest)
    assert (local_path(uri) / "a").stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["things"]


def test_how_long_a_training_took_is_no_content(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    first = stored(artifacts, {"adapter": "w", "train.json": "seconds: 1"})
    assert stored(artifacts, {"adapter": "w", "train.json": "seconds: 2"}) == first
    assert stored(artifacts, {"adapter": "w", "cost.json": "{}"}) == first


def test_a_failed_step_leaves_nothing(tmp_path: Path) -> None:
    def step() -> None:
        with Artifacts(tmp_path).folder() as folder:
            (folder / "half").write_text("…")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()
    assert not list(tmp_path.iterdir())


def test_a_home_with_odd_characters_is_found_again(tmp_path: Path) -> None:
    uri, _ = stored(Artifacts(tmp_path / "a home & ü%20"), {"a": "1"})
    assert (local_path(uri) / "a").exists()


def test_a_lost_artifact_is_bad_input_and_one_out_of_sight_may_come_back(tmp_path: Path) -> None:
    uri, _ = stored(Artifacts(tmp_path / "home"), {"a": "1"})
    kept = local_path(uri)
    with pytest.raises(BadInput, match="is lost"):
        local_path(kept.with_name("another").as_uri())
    (tmp_path / "home").rename(tmp_path / "not mounted")
    with pytest.raises(FileNotFoundError, match="must share DRIFTLINE_HOME"):
        local_path(uri)
