"""Processes that die, hang, cannot start or are to be replaced: real ones, which do nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.server import PATIENCE, ROOT, children, eventually


class Family:
    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.process = folder, process

    def ready(self) -> set[int]:
        """Those that live and have been ready."""
        return {pid for pid in children(self.process.pid) if (self.folder / str(pid)).exists()}


@contextmanager
def family(folder: Path, number: int = 2) -> Iterator[Family]:
    command = [sys.executable, "-m", "tests.serving.family", str(folder), str(number)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    found = Family(folder, process)
    try:
        assert eventually(lambda: process.poll() is not None or len(found.ready()) == number)
        yield found
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with family(tmp_path) as found:
        before = found.ready()
        os.kill(killed := min(before), signal.SIGKILL)
        assert eventually(lambda: len(found.ready() - {killed}) == 2)
        assert before - {killed} < found.ready()


def test_one_that_hangs_is_replaced(tmp_path: Path) -> None:
    with family(tmp_path) as found:
        before = found.ready()
        (tmp_path / "hangs").mkdir()
        (tmp_path / "hangs" / str(hanging := min(before))).touch()
        assert eventually(lambda: hanging not in children(found.process.pid) and len(found.ready()) == 2)
        assert before - {hanging} < found.ready(), "the other one goes on"


def test_sighup_replaces_all_and_never_has_fewer(tmp_path: Path) -> None:
    with family(tmp_path) as found:
        before, fewest = found.ready(), 2
        found.process.send_signal(signal.SIGHUP)

        def replaced() -> bool:
            nonlocal fewest
            now = found.ready()
            fewest = min(fewest, len(now))
            return len(now) == 2 and not now & before

        assert eventually(replaced)
        assert fewest == 2


def test_the_others_stay_while_one_cannot_start(tmp_path: Path) -> None:
    with family(tmp_path) as found:
        before = found.ready()
        (tmp_path / "fails").touch()
        found.process.send_signal(signal.SIGHUP)
        assert eventually((tmp_path / "failed").exists)
        assert found.ready() == before
        (tmp_path / "fails").unlink()
        assert eventually(lambda: len(found.ready() - before) == 2), "it is tried again"


def test_the_parent_ends_where_none_can_start(tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    with family(tmp_path) as found:
        assert found.process.wait(PATIENCE) == 7


def test_all_end_with_sigterm(tmp_path: Path) -> None:
    with family(tmp_path) as found:
        started = found.ready()
        found.process.terminate()
        assert found.process.wait(PATIENCE) == 0
        assert not any(Path("/proc", str(pid)).exists() for pid in started)
