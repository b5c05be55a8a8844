"""What every command begins with: its settings, read with `--set`, and the context that its use case is given."""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.markup import escape

from driftline.commands.output import USAGE, cell, errors
from driftline.operations.context import Context
from driftline.settings import Settings, problems

T = TypeVar("T")

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting for this command, e.g. `--set training.steps=90`."),
]


def load(overrides: list[str] | None = None) -> Context:
    """The context of this command; see `load_settings`."""
    return Context(load_settings(overrides))


def load_settings(overrides: list[str] | None = None) -> Settings:
    """Settings from `driftline.toml`, the environment and `--set`; ends the program with exit code 2 when they are wrong."""
    nested: dict[str, Any] = {}
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise typer.BadParameter(f"{override!r} is not KEY=VALUE", param_hint="--set")
        *path, leaf = key.strip().split(".")
        place = nested
        for name in path:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"{override!r} is below a value", param_hint="--set")
        place[leaf] = _value(value)
    try:
        return Settings(**nested)
    except ValidationError as error:
        for path, what, where in problems(error):
            origin = "" if _is_below(nested, path) else f" ({cell(where)})"
            errors.print(f"[red]setting {'.'.join(path)}[/]: {cell(what)}{origin}", highlight=False)
        raise typer.Exit(USAGE) from None
    except ValueError as error:  # not TOML, or not JSON in an environment variable
        errors.print(f"[red]settings:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(USAGE) from None


def _is_below(nested: dict[str, Any], path: list[str]) -> bool:
    """Whether `--set` gave it, or something below it."""
    place: Any = nested
    for name in path:
        if not isinstance(place, dict):
            return True
        if name not in place:
            return False
        place = place[name]
    return True


def _value(text: str) -> Any:
    """A list or an object if it is JSON, e.g. `clusters.fan_out=[8,4]`; else text, which every other knob is read from."""
    with suppress(ValueError):
        if isinstance(found := json.loads(text), list | dict):
            return found
    return text


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine from a plain command."""
    return asyncio.run(work)


def warn_without_worker(context: Context) -> None:
    if context.lacks_worker:
        errors.print("[yellow]no worker runs here, so nothing will happen until `driftline up`[/]")
