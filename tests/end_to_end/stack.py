"""A real stack in a folder of its own, driven by the real command as a user would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from driftline import embedded
from tests.end_to_end.commands import SECONDS, Commands, Done

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
LOG_PASSWORD = "pw-of-the-log-8d1f"
"""What `${LOG_PASSWORD}` in a setting stands for."""


@dataclass(frozen=True)
class Stack:
    """`folder` is the working directory with its `driftline.toml`; `home` is where state lives; `commands` runs in it."""

    folder: Path
    commands: Commands

    @property
    def home(self) -> Path:
        return self.folder / "state"

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
        kept["LOG_PASSWORD"] = LOG_PASSWORD
        return kept | {"DRIFTLINE_HOME": str(self.home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "160"}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`driftline …` in the background."""
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """`driftline …`; its standard output, once its exit code is `code`. What starts or stops servers is started anew."""
        if arguments[0] in ("up", "down"):
            process = self.start(*arguments)
            out, errors = process.communicate(timeout=SECONDS)
            done = Done(process.returncode, out, errors)
        else:
            done = self.commands.run(arguments, self.folder, self.env)
        said = f"driftline {' '.join(arguments)} → {done.code}\n{done.out}\n{done.errors}"
        assert done.code == code, f"{said}\n{self.logs()}"
        return done.out if code in (0, 3) else done.out + done.errors

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def worker(self) -> psutil.Process:
        process = embedded.status(self.home).worker
        assert process is not None, "no worker runs"
        return psutil.Process(process.pid)

    def logs(self, lines: int = 25, width: int = 500) -> str:
        """The worker's last words, for the report of a failed test."""
        log = self.home / "logs" / "worker.log"
        last = log.read_text().splitlines()[-lines:] if log.exists() else ["(it has none)"]
        return "\n".join(["the worker's log ends:", *(line[:width] for line in last)])

    def until(self, what: str, found: Callable[[], T | None], seconds: float = 600) -> T:
        """The first result that is neither None nor empty; looks often, so that what passes quickly is seen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := found():
                return result
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds:.0f} s in vain for {what}\n{self.logs()}")
