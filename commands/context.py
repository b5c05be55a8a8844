"""Settings, Postgres and Temporal for one command, each opened when it is needed."""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.markup import escape
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError

import db.connection
import embedded
from commands.output import USAGE, cell, errors
from settings import Settings

T = TypeVar("T")

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting for this command, e.g. `--set training.steps=90`."),
]


class Unreachable(RuntimeError):
    """A server that the command needs does not answer."""


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
        for problem in error.errors():
            errors.print(f"[red]setting {'.'.join(map(str, problem['loc']))}[/]: {cell(problem['msg'])}", highlight=False)
        raise typer.Exit(USAGE) from None
    except ValueError as error:  # not TOML, or not JSON in an environment variable
        errors.print(f"[red]settings:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(USAGE) from None


def _value(text: str) -> Any:
    """A list or an object if it is JSON, e.g. `clusters.fan_out=[8,4]`; else text, which every other knob is read from."""
    with suppress(ValueError):
        if isinstance(found := json.loads(text), list | dict):
            return found
    return text


def engine(settings: Settings) -> Engine:
    """Postgres, its schema checked."""
    made = db.connection.connect(embedded.addressed(settings).postgres_url)
    db.connection.require_schema(made)
    return made


async def connect(settings: Settings) -> Client:
    """Temporal.

    Raises:
        Unreachable: nothing answers at the address.
    """
    settings = embedded.addressed(settings)
    try:
        return await asyncio.wait_for(
            Client.connect(**settings.temporal(), data_converter=pydantic_data_converter, runtime=_quiet()),
            timedelta(seconds=10).total_seconds(),
        )
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise Unreachable(
            f"Temporal does not answer at {settings.temporal_address}: start it with `driftline up` ({error})"
        ) from None


@cache
def _quiet() -> Runtime:
    """Without the SDK's own log lines on standard output: the command says itself what is wrong."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine from a plain command."""
    return asyncio.run(work)
