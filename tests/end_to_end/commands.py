"""Runs `driftline …`, each in a process of its own that is forked from one which has imported everything already.

A start takes milliseconds in place of a second, and is what a user gets: arguments, folder, environment, streams, exit code.
`python -m tests.end_to_end.commands` is that process: a JSON line in for each command, its exit code out.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]
SECONDS = 280.0
"""Less than a test may take, so that it ends with the worker's last words."""
LOADED_LATE = ("alembic.command", "temporalio.client", "temporalio.contrib.pydantic", "driftline.temporal_client")
"""By functions, when they are called."""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    errors: str


@dataclass
class Commands:
    """A command at a time."""

    process: "subprocess.Popen[str]" = field(init=False)
    streams: Path = field(init=False)
    """Folder of what a command writes to its streams; its own folder may have no room for it."""

    def __post_init__(self) -> None:
        self.streams = Path(tempfile.mkdtemp(prefix="driftline-commands-"))
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, arguments: tuple[str, ...], folder: Path, env: dict[str, str]) -> Done:
        """Raises TimeoutError: it has not ended after `SECONDS`."""
        out, errors = self.streams / "out", self.streams / "errors"
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"arguments": arguments, "folder": str(folder), "env": env, "out": str(out), "errors": str(errors)}
        late = threading.Timer(SECONDS, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        finally:
            late.cancel()
        if not answer:
            self.process.wait()
            self.start()
            raise TimeoutError(f"driftline {' '.join(arguments)} has not ended after {SECONDS:.0f} s\n{out.read_text()}")
        return Done(json.loads(answer), out.read_text(), errors.read_text())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.streams)


def serve() -> None:
    from driftline import cli

    for name in {place.partition(":")[0] for place in cli.COMMANDS.values()}:
        import_module(f"driftline.commands.{name}")
    for name in LOADED_LATE:
        import_module(name)
    sys.modules["__main__"].__package__ = None  # or usage would name this module
    for line in sys.stdin:
        if not (child := os.fork()):
            become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(arguments: list[str], folder: str, env: dict[str, str], out: str, errors: str) -> NoReturn:
    """This process is the command from here on."""
    from driftline import cli

    try:
        for number, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            os.dup2(os.open(path, flags, 0o600), number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = [str(ROOT / "cli.py"), *arguments]
        cli.main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    serve()
