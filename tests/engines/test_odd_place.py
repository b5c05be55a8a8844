"""An ordinary user, a folder with a blank and an ü, no HOME, LANG=C: a command and a child run."""

import dataclasses
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from driftline.contracts import GenerateJob, Generation
from tests.engines.conftest import DESCRIPTIONS, ROOT, write_prompts


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not in pytest's folders: those are closed to other users."""
    outer = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    outer.chmod(0o755)
    inner = outer / "a folder ü"
    inner.mkdir()
    yield inner
    shutil.rmtree(outer)


def run(folder: Path, user: dict[str, Any], *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {"LANG": "C", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    env |= {"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "DRIFTLINE_HOME": str(folder / "home")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=600, **user)


def nobody(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        pytest.skip("only root can try it as another user")
    entry = pwd.getpwnam("nobody")
    user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        run(folder, user, "-c", f"open({str(ROOT / 'cli.py')!r})").check_returncode()
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip(f"nobody may not read {ROOT} or run {sys.executable}: a folder above it is closed to other users")
    return user


@pytest.mark.long
@pytest.mark.parametrize("ordinary", [False, True], ids=["whoever", "nobody"])
def test_a_command_and_a_child_run(ordinary: bool, folder: Path, tiny_llm: Path) -> None:
    user = nobody(folder) if ordinary else {}
    shutil.copytree(tiny_llm, folder / "llm")
    job = GenerateJob(
        prompts=str(write_prompts(folder / "prompts", DESCRIPTIONS)),
        base_model=str(folder / "llm"),
        generation=Generation(batch_size=4),
        work=str(folder / "work"),
        out=str(folder / "mapping"),
    )
    (folder / "job.json").write_text(json.dumps(dataclasses.asdict(job)))
    if user:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user["user"], user["group"])
    status = run(folder, user, str(ROOT / "cli.py"), "status")
    assert "driftline up" in status.stdout, status.stderr
    child = run(folder, user, "-m", "driftline.engines.generate", str(folder / "job.json"))
    assert child.returncode == 0, child.stderr
    assert pq.read_table(folder / "mapping" / "mapping.parquet").num_rows == 30
