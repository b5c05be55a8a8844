"""Two ways to run a command in an empty folder where nothing was started."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from driftline import cli

ROOT = Path(__file__).parents[2]
Process = Callable[..., "subprocess.CompletedProcess[str]"]
Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("DRIFTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def driftline() -> Process:
    """The real command, exit code and all. Takes two seconds, most of them imports."""

    def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def call() -> Call:
    """The Typer app in this process: what it exits with by itself."""
    return lambda *arguments: CliRunner().invoke(cli.app, arguments)
