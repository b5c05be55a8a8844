"""What is no backup, and where none is restored to."""

from pathlib import Path

import pytest

from driftline.embedded import backup as backups


def test_what_was_not_finished_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "postgres.dump").touch()
    with pytest.raises(RuntimeError, match="is no whole backup"):
        backups.restore(tmp_path / "half", tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("has", ["state.json", "postgres", "temporal.db", "artifacts"])
def test_a_home_that_is_in_use_is_left_alone(tmp_path: Path, has: str) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "backup.json").write_text('{"roles": []}')
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / has).touch()
    with pytest.raises(RuntimeError, match=f"is in use .it has {has}"):
        backups.restore(tmp_path / "whole", tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == [has]


def test_nothing_is_overwritten_and_what_does_not_run_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(RuntimeError, match="is not empty"):
        backups.backup(tmp_path / "home", tmp_path / "full")
    with pytest.raises(RuntimeError, match="does not run here"):
        backups.backup(tmp_path / "home", tmp_path / "new")
    assert not (tmp_path / "new").exists()
