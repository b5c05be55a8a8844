"""Commands that only read, beside the loading of the libraries that they need.

python -m bench.commands
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from rich.console import Console

from bench.rows import ResultRow, row, show
from driftline import embedded
from driftline.db.connection import connect, migrate
from tests.db import world

NAME, ROUNDS = "commands", 8
PACKAGES = ("typer", "rich", "pydantic-settings", "sqlalchemy", "psycopg", "temporalio")
LIBRARIES = "import typer, rich.table, pydantic_settings, psycopg, sqlalchemy.dialects.postgresql"
COMMANDS = {"lookup 0 1": LIBRARIES, "review list": LIBRARIES, "status": f"{LIBRARIES}, temporalio.client"}
NOTE = """
A command from its start to its end, on an embedded Postgres and a Temporal. The peer loads the libraries that it needs and does
nothing: what lies above 1 is ours, reading the settings, connecting, asking and drawing. Ours does not look for garbage while it
loads; the peer does. Least of eight rounds in turn. Both figures grow where other programs keep the cores busy: the ratio counts.
"""
ROOT = Path(__file__).parent.parent


def rows(small: bool = False) -> list[ResultRow]:
    home = Path(tempfile.mkdtemp(prefix="driftline-bench-"))
    try:
        url = embedded.up(home).postgres_url
        migrate(url)
        engine = connect(url)
        with engine.begin() as conn:
            world.add_served_table(conn, "bench")
        engine.dispose()
        return [_compare(home, command, bare, 1 if small else ROUNDS) for command, bare in COMMANDS.items()]
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def _compare(home: Path, command: str, bare: str, rounds: int) -> ResultRow:
    turns = [[str(ROOT / "cli.py"), *command.split()], ["-c", bare]]
    spent = [[_cpu(home, turn) for turn in turns] for _ in range(rounds)]
    ours, peer = (min(of) for of in zip(*spent, strict=True))
    return row(NAME, f"CPU-seconds: {command}", ours, peer, "its libraries, loaded", "≤ 1.5")


def _cpu(home: Path, arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = os.environ | {"DRIFTLINE_HOME": str(home)}
    subprocess.run([sys.executable, *arguments], env=env, cwd=home, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    ArgumentParser(prog="python -m bench.commands", description=__doc__).parse_args()
    show(rows(), Console())


if __name__ == "__main__":
    main()
