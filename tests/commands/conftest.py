"""Two ways to run a command in an empty folder where nothing was started."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from driftline import cli
from tests.end_to_end.commands import Commands, Done

ROOT = Path(__file__).parents[2]
Process = Callable[..., Done]
Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("DRIFTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="package")
def commands() -> Iterator[Commands]:
    commands = Commands()
    yield commands
    commands.close()


@pytest.fixture
def driftline(commands: Commands, tmp_path: Path) -> Process:
    """The real command in a process of its own, exit code and all."""
    return lambda *arguments, **env: commands.run(arguments, tmp_path, os.environ | env)


@pytest.fixture
def call() -> Call:
    """The Typer app in this process: what it exits with by itself."""
    return lambda *arguments: CliRunner().invoke(cli.app, arguments)
