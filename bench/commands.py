"""Commands that only read, beside the loading of the libraries that they need.

python -m bench.commands
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from bench.rows import ResultRow, row, show
from driftline import embedded
from driftline.db.connection import connect, migrate
from tests.db import world

NAME, ROUNDS, CLUSTERS = "commands", 8, 761
PACKAGES = ("typer", "rich", "pydantic-settings", "sqlalchemy", "psycopg", "temporalio")
LIBRARIES = "import typer, rich.table, pydantic_settings, psycopg, sqlalchemy.dialects.postgresql"
COMMANDS = {"lookup 0 1": LIBRARIES, "review list": LIBRARIES, "status": f"{LIBRARIES}, temporalio.client"}
LARGE = {
    "tables diff 2 3": f"{LIBRARIES}, numpy",
    "tables diff 2 3 --json": f"{LIBRARIES}, numpy",
    "review show large": LIBRARIES,
}
"""Of many interests: two tables, a quarter of whose pairs differ, and a review of the second."""
GOAL_S = 1.0
LOADED = {
    "Python": "",
    "typer, rich": "typer rich.console rich.table",
    "pydantic-settings": "pydantic_settings pydantic.dataclasses",
    "psycopg": "psycopg",
    "SQLAlchemy": "sqlalchemy.dialects.postgresql",
    "ours": "driftline.cli driftline.commands.tables",
}
"""What `lookup` loads, each with what it needs and those before it did not."""
LOAD = """
import gc, importlib, json, sys, time
gc.disable()
spent = [time.process_time()]
for names in sys.argv[1:]:
    for name in names.split():
        importlib.import_module(name)
    spent.append(time.process_time())
print(json.dumps(spent))
"""
NOTE = """
A command from start to end, without what Postgres and Temporal do for it, least of eight rounds. The peer loads the libraries
that it needs and does nothing, so what lies above 1 is ours. Ours loads without looking for garbage, the peer looks. Of two
tables of 761 interests a quarter of the pairs differ: as JSON they are 22 MB.
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
        rounds, clusters = (1, 40) if small else (ROUNDS, CLUSTERS)
        compared = [
            row(NAME, f"CPU-seconds: {command}", *_least(home, command, bare, rounds), "its libraries, loaded", "≤ 1.5")
            for command, bare in COMMANDS.items()
        ]
        with engine.begin() as conn:
            _, candidate = (world.add_large_table(conn, every, clusters) for every in (10**9, 4))
            world.evaluate(conn, candidate, "recall")
            world.open_review(conn, candidate, "large", "recall")
        engine.dispose()
        return [*compared, *(_large(home, command, clusters, rounds) for command in LARGE), *_loaded(rounds)]
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def _least(home: Path, command: str, bare: str, rounds: int) -> tuple[float, float]:
    """CPU-seconds of the command, and of loading its libraries."""
    turns = [[str(ROOT / "cli.py"), *command.split()], ["-c", bare]]
    spent = [[_cpu(home, turn) for turn in turns] for _ in range(rounds)]
    ours, peer = (min(of) for of in zip(*spent, strict=True))
    return ours, peer


def _large(home: Path, command: str, clusters: int, rounds: int) -> ResultRow:
    ours, peer = _least(home, command, LARGE[command], rounds)
    compared = row(NAME, f"CPU-seconds: {command}, {clusters} interests", ours, peer, "its libraries, loaded")
    compared["goal"], compared["met"] = f"≤ {GOAL_S:g} s", ours <= GOAL_S
    return compared


def _loaded(rounds: int) -> list[ResultRow]:
    command = [sys.executable, "-c", LOAD, *filter(None, LOADED.values())]
    read = [json.loads(subprocess.check_output(command, cwd=ROOT)) for _ in range(rounds)]
    parts = [min(of) for of in zip(*([b - a for a, b in pairwise([0.0, *spent])] for spent in read), strict=True)]
    return [
        row(NAME, f"CPU-seconds to load: {what}", seconds, sum(parts), "all that `lookup` loads")
        for what, seconds in zip(LOADED, parts, strict=True)
    ]


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
