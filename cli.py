"""The `driftline` command. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waiting for review."""

import errno
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from driftline.commands.output import DONE, FAILED, errors

MENDS = {
    errno.EACCES: "let this user in, or set DRIFTLINE_HOME to a folder of this user's",
    errno.EPERM: "let this user in, or set DRIFTLINE_HOME to a folder of this user's",
    errno.EROFS: "set DRIFTLINE_HOME to a folder that can be written",
    errno.ENOSPC: "free some of the disk, then do it again",
    errno.EDQUOT: "free some of the disk, then do it again",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file",
}
"""What to do about an error of the operating system."""

COMMANDS = {
    **{"demo": "demo:demo", "up": "stack:up", "down": "stack:down", "status": "stack:status", "doctor": "doctor:doctor"},
    **{"ingest": "source:ingest", "report": "report:report", "lookup": "tables:lookup", "serve": "serve:serve"},
    **{"recommend": "recommend:recommend", "prune": "prune:prune", "backup": "backup:backup", "restore": "backup:restore"},
    **{name: f"{name}:app" for name in ("clusters", "run", "schedule", "cadence", "evaluate", "experiment", "notify")},
    **{name: f"{name}:app" for name in ("dashboards", "review", "tables", "web")},
}
"""Where each command is, in the order of the help: module of `commands/`, then its function or the app of its group."""


class Commands(Mapping[str, "TyperCommand | TyperGroup"]):
    """Every command, imported when it is asked for: one should not wait for what another needs."""

    def __getitem__(self, name: str) -> "TyperCommand | TyperGroup":
        module, _, member = COMMANDS[name].partition(":")
        found = getattr(import_module(f"driftline.commands.{module}"), member)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False)
            alone.command(name)(found)
            found = alone
        made = get_command(found)
        made.name = name
        return made  # type: ignore[return-value]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Group(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = Commands()  # type: ignore[assignment]


app = typer.Typer(
    cls=Group,
    help="Keeps LLM-powered recommenders in step with their users: a versioned table of the next novel interest for every "
    "ordered pair of interests, renewed by a monthly fine-tune and frequent RAG refreshes.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waiting for review.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback()
def _every_command() -> None:
    pass


def main() -> None:
    """Entry point: a problem is one clear line, and a traceback only where `DRIFTLINE_TRACEBACK` is set."""
    gc.set_threshold(100_000)  # what modules are made of stays: nothing is gained by looking through it while they load
    if os.environ.get("DRIFTLINE_TRACEBACK"):
        app()
    try:
        app()
    except SystemExit as done:
        leave(done.code)
    except BrokenPipeError:  # whoever read our output has enough
        os._exit(DONE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        mend = f": {MENDS[error.errno]}" if error.errno in MENDS else ""
        errors.print(f"[red]error:[/] {escape(where)}{escape(error.strerror or str(error))}{mend}", highlight=False)
        leave(FAILED)
    except Exception as error:
        if (message := _message(error)) is None:
            raise
        errors.print(f"[red]error:[/] {escape(message)}", highlight=False)
        leave(FAILED)


def _message(error: Exception) -> str | None:
    """What a person can use of an error; None for a bug. Libraries that a command did not load raised nothing."""
    temporal, sql = sys.modules.get("temporalio.exceptions"), sys.modules.get("sqlalchemy.exc")
    if isinstance(error, ValueError | RuntimeError) or (temporal and isinstance(error, temporal.TemporalError)):
        return str(error)
    if sql and isinstance(error, sql.OperationalError):
        return f"Postgres does not answer: start it with `driftline up` ({error.orig})"
    return None


def leave(code: object) -> NoReturn:
    """Exit at once: Temporal's threads may call into an interpreter that is being torn down, which aborts it (134)."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else FAILED if code else DONE)


if __name__ == "__main__":
    main()
