"""`driftline serve`: look-ups by HTTP."""

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from driftline.commands.context import load_settings
from driftline.embedded.processes import python_path


def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen. Default: `serving.host`.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one. Default: `serving.port`.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Default: `serving.processes`.")] = None,
) -> None:
    """Answer HTTP look-ups: from a user's last items to the next novel interests (docs/serving.md). Ends with SIGTERM.

    It follows every channel, and goes on with what it has while Postgres is away.
    """
    load_settings()  # what is wrong in them is said here
    if find_spec("uvicorn") is None or find_spec("msgspec") is None:
        raise RuntimeError("serving needs packages that are not installed: pip install 'driftline[serve]'")
    given = {"host": host, "port": port, "processes": processes}
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    # The server is a program of its own: it needs nothing of what commands import.
    environment = os.environ | python_path()
    os.execve(sys.executable, [sys.executable, "-P", "-m", "driftline.serving", *options], environment)
