"""The `driftline` command. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waiting for review."""

import errno
import os
import sys
from contextlib import suppress
from typing import NoReturn

import typer
from rich.markup import escape
from sqlalchemy.exc import OperationalError
from temporalio.exceptions import TemporalError

from driftline.commands import clusters, dashboards, demo, doctor, evaluate, notify, run, schedule, serve, source, stack, tables
from driftline.commands import report as reports
from driftline.commands import review as reviews
from driftline.commands import web as webs
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

app = typer.Typer(
    help="Keeps LLM-powered recommenders in step with their users: a versioned table of the next novel interest for every "
    "ordered pair of interests, renewed by a monthly fine-tune and frequent RAG refreshes.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waiting for review.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
app.command()(demo.demo)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.status)
app.command()(doctor.doctor)
app.command()(source.ingest)
app.add_typer(clusters.app, name="clusters")
app.add_typer(run.app, name="run")
app.add_typer(schedule.app, name="schedule")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(notify.app, name="notify")
app.add_typer(dashboards.app, name="dashboards")
app.command()(reports.report)
app.add_typer(reviews.app, name="review")
app.add_typer(tables.app, name="tables")
app.command()(tables.lookup)
app.add_typer(webs.app, name="web")
app.command()(serve.serve)


def main() -> None:
    """Entry point: a problem is one clear line, and a traceback only where `DRIFTLINE_TRACEBACK` is set."""
    if os.environ.get("DRIFTLINE_TRACEBACK"):
        app()
    try:
        app()
    except SystemExit as done:
        leave(done.code)
    except (ValueError, RuntimeError, TemporalError) as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        leave(FAILED)
    except BrokenPipeError:  # whoever read our output has enough
        os._exit(DONE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        mend = f": {MENDS[error.errno]}" if error.errno in MENDS else ""
        errors.print(f"[red]error:[/] {escape(where)}{escape(error.strerror or str(error))}{mend}", highlight=False)
        leave(FAILED)
    except OperationalError as error:
        why = escape(str(error.orig))
        errors.print(f"[red]error:[/] Postgres does not answer: start it with `driftline up` ({why})", highlight=False)
        leave(FAILED)


def leave(code: object) -> NoReturn:
    """Exit at once: Temporal's threads may call into an interpreter that is being torn down, which aborts it (134)."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else FAILED if code else DONE)


if __name__ == "__main__":
    main()
