"""The help of every command, found by walking the Typer app."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from driftline import cli

READING = {
    "status",
    "ingest",
    "lookup",
    "clusters show",
    "schedule list",
    "review list",
    "review show",
    "tables list",
    "tables show",
    "tables diff",
    "tables history",
}
PROMISED = READING | {
    *("demo", "up", "down", "clusters build", "clusters import", "run fine-tune", "run rag-refresh"),
    *(f"schedule {verb}" for verb in ("apply", "pause", "resume", "backfill")),
    *(f"review {verb}" for verb in ("approve", "rerun", "abort")),
    *("tables publish", "tables rollback"),
}


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if path:
        yield " ".join(path), command
    for name, sub in getattr(command, "commands", {}).items():
        yield from walk(sub, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(cli.app)))


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("name", sorted(READING))
def test_every_reading_command_has_json(name: str) -> None:
    assert "--json" in [option for parameter in COMMANDS[name].params for option in parameter.opts]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_says_what_it_does_and_what_each_option_means(name: str) -> None:
    shown = CliRunner().invoke(cli.app, [*name.split(), "--help"])
    assert shown.exit_code == 0
    command = COMMANDS[name]
    assert command.help
    assert len(command.help) > 20
    assert command.help.split()[0] in shown.stdout
    undocumented = [
        parameter.name
        for parameter in command.params
        if not getattr(parameter, "help", None) and parameter.name not in ("help", "worker")
    ]
    assert undocumented == []
