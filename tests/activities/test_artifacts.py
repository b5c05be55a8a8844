"""Artifacts are named by their content, written once and never changed."""

import os
from pathlib import Path

import pytest

from driftline.activities.artifacts import LocalArtifacts as Artifacts
from driftline.activities.artifacts import hash_folder
from driftline.contracts import BadInput


def stored(artifacts: Artifacts, files: dict[str, str]) -> tuple[str, str]:
    with artifacts.folder() as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        return artifacts.store("things", folder)


def test_the_address_is_the_content(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    uri, digest = stored(artifacts, {"a": "1", "sub/b": "2"})
    assert hash_folder(artifacts.find(uri)) == digest
    assert uri.endswith(digest)
    assert (artifacts.find(uri) / "sub" / "b").read_text() == "2"
    others = [{"a": "1", "sub/b": "3"}, {"a": "1", "sub/c": "2"}, {"a": "1"}, {"a": "12", "sub/b": ""}]
    assert len({digest} | {stored(artifacts, other)[1] for other in others}) == 1 + len(others)


def test_storing_the_same_again_keeps_the_first_and_leaves_no_scrap(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    uri, digest = stored(artifacts, {"a": "1"})
    inode = (artifacts.find(uri) / "a").stat().st_ino
    assert stored(artifacts, {"a": "1"}) == (uri, digest)
    assert (artifacts.find(uri) / "a").stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["things"]


def test_how_long_a_training_took_is_no_content(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    first = stored(artifacts, {"adapter": "w", "train.json": "seconds: 1"})
    assert stored(artifacts, {"adapter": "w", "train.json": "seconds: 2"}) == first
    assert stored(artifacts, {"adapter": "w", "cost.json": "{}"}) == first


def test_a_power_cut_finds_an_artifact_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the order of what the disk is told: every file, then the name, then the folders that it is in."""
    told: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        fsync(descriptor)
        told.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).relative_to(tmp_path.resolve()).as_posix())

    def named(old: Path, new: Path) -> None:
        replace(old, new)
        told.append("named")

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", named)
    stored(Artifacts(tmp_path), {"a": "1", "sub/b": "2"})
    before, after = told[: told.index("named")], told[told.index("named") + 1 :]
    assert sorted(path.partition("content")[2] for path in before) == ["", "/a", "/sub", "/sub/b"]
    assert after == ["things", "."]


def test_a_failed_step_leaves_nothing(tmp_path: Path) -> None:
    def step() -> None:
        with Artifacts(tmp_path).folder() as folder:
            (folder / "half").write_text("…")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()
    assert not list(tmp_path.iterdir())


def test_a_home_with_odd_characters_is_found_again(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "a home & ü%20")
    uri, _ = stored(artifacts, {"a": "1"})
    assert (artifacts.find(uri) / "a").exists()


def test_a_lost_artifact_is_bad_input_and_one_out_of_sight_may_come_back(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "home")
    uri, _ = stored(artifacts, {"a": "1"})
    with pytest.raises(BadInput, match="is lost"):
        artifacts.find(artifacts.find(uri).with_name("another").as_uri())
    (tmp_path / "home").rename(tmp_path / "not mounted")
    with pytest.raises(FileNotFoundError, match="must share DRIFTLINE_HOME"):
        artifacts.find(uri)


def test_a_damaged_artifact_is_set_aside_and_made_again(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    uri, digest = stored(artifacts, {"a": "1", "b": "2"})
    file = artifacts.find(uri, digest) / "a"
    file.write_text("x")
    with pytest.raises(BadInput, match="was damaged and is set aside"):
        artifacts.find(uri, digest)
    with pytest.raises(BadInput, match="is lost"):
        artifacts.find(uri, digest)
    assert [path.read_text() for path in (tmp_path / "damaged").rglob("a")] == ["x"]
    assert stored(artifacts, {"a": "1", "b": "2"}) == (uri, digest)
    file.unlink()  # storing it again heals it, too
    assert stored(artifacts, {"a": "1", "b": "2"}) == (uri, digest)
    assert (artifacts.find(uri, digest) / "a").read_text() == "1"


def test_a_ref_that_lies_moves_nothing(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    uri, digest = stored(artifacts, {"a": "1"})
    with pytest.raises(BadInput, match="another content"):
        artifacts.find(uri, stored(artifacts, {"a": "2"})[1])
    assert artifacts.find(uri, digest)


def test_a_home_that_was_restored_elsewhere_finds_what_it_names(tmp_path: Path) -> None:
    uri, digest = stored(Artifacts(tmp_path / "before" / "artifacts"), {"a": "1"})
    (tmp_path / "before").rename(tmp_path / "after")
    assert Artifacts(tmp_path / "after" / "artifacts").find(uri, digest).is_relative_to(tmp_path / "after")


@pytest.mark.parametrize("where", ["secret", "artifacts/../secret", "artifacts/link", "artifacts/%2e%2e/secret"])
def test_nothing_outside_is_read_or_moved(tmp_path: Path, where: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="is not in"):
        Artifacts(tmp_path / "artifacts").find(f"file://{tmp_path}/{where}")
    assert (tmp_path / "secret").is_dir()
