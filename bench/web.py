"""Every page for the people who decide, with 761 interests, over a real Postgres and a real Temporal.

python -m bench.web [--clusters 761] [--rounds 40]

CPU is that of the page's process and of all of Postgres' while a page is made.
"""

import asyncio
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow as pa
from rich.console import Console
from sqlalchemy import Connection
from temporalio.client import Client

from bench.machine import quiet
from bench.rows import ResultRow, row, show
from driftline import embedded
from driftline.contracts import Cost, Generation, MappingRef, OpenReview, PromptsRef, RunIds, StoreTable
from driftline.db import channels, evaluations, models, reports, reviews, tables
from driftline.db.connection import connect, migrate
from driftline.embedded import processes, tokens
from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.web import app, server
from driftline.workflows import policies
from tests.db.world import COMPUTED
from tests.report import experiment_examples
from tests.web import world

NAME = "web"
CLUSTERS, TRIPLES, YEAR, REPLAYS = 761, 800_000, 190, 50
"""`YEAR`: tables of a year, a refresh every two days and the fine-tunes; most of them of one row here. `REPLAYS`: of each of two
intervals."""
ROUNDS, STARTS = 40, 3
GOAL_MS = 300.0
PACKAGES = ("starlette", "uvicorn", "jinja2", "sqlalchemy", "psycopg", "numpy")
NOTE = """
761 interests: four tables, two of which wait for a verdict, 190 more on the list, 25 runs. Each page is asked 40 times; CPU is
that of its process and of Postgres. `first` is the first request after a start, with nothing read ahead, worst of three. Wall
times are told only where the machine did nothing else.
"""


@dataclass(frozen=True)
class Asked:
    """One request: milliseconds, those of CPU of the page and of Postgres, and of the page alone; KiB."""

    wall: float
    cpu: float
    page: float
    size: float


def rows(small: bool = False) -> list[ResultRow]:
    return compare(*((40, 2_000, 5, 5, 1) if small else (CLUSTERS, TRIPLES, YEAR, ROUNDS, STARTS)))


def compare(n_clusters: int, triples: int, older: int, rounds: int, starts: int) -> list[ResultRow]:
    home, calm = Path(tempfile.mkdtemp(prefix="driftline-bench-")), quiet()
    try:
        url = embedded.up(home).postgres_url
        migrate(url)
        engine = connect(url)
        with engine.begin() as conn:
            review = _fill(conn, n_clusters, triples, older)
        engine.dispose()
        asyncio.run(_start_runs(embedded.status(home).temporal_address))
        places = _places(review)
        first: dict[str, list[Asked]] = {place: [] for place in places}
        for _ in range(starts):
            for place in (place for place in places if place.startswith(("/reviews", "/changes", "/explore?"))):
                with _page(home, ahead=False) as page:
                    first[place].append(page.ask(place))
        with _page(home) as page:
            for place in places:
                page.ask(place)
            warm = {place: [page.ask(place) for _ in range(rounds)] for place in places}
        return [one for place in places for one in _rows(place, warm[place], first[place], calm)]
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def _rows(place: str, warm: list[Asked], first: list[Asked], calm: bool) -> list[ResultRow]:
    wall, cpu = [one.wall for one in warm], [one.cpu for one in warm]
    median = statistics.median
    found = [_within(f"CPU-ms of {place}, p95", _p95(cpu), median(cpu), "its median")]
    if calm:
        found.append(_within(f"ms of {place}, p95", _p95(wall), median(wall), "its median"))
    if first:
        found.append(row(NAME, f"CPU-ms of {place}, first", max(one.cpu for one in first), median(cpu), "its median"))
    return found


def _within(metric: str, ours: float, peer: float, peer_name: str) -> ResultRow:
    compared = row(NAME, metric, ours, peer, peer_name)
    compared["goal"], compared["met"] = f"≤ {GOAL_MS:g} ms", ours <= GOAL_MS
    return compared


def _p95(values: list[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def _places(review: str) -> list[str]:
    """Every page that is looked at, the heavy ones with what makes them heavier."""
    return [
        *("/", f"/reviews/{review}", f"/reviews/{review}?interest=12", f"/reviews/{review}?pairs=500"),
        *("/channels", "/channels/default/rollback", "/tables", "/tables/3"),
        *("/changes?before=1&after=3", "/changes?before=1&after=3&pairs=500", "/runs"),
        *("/explore", "/explore?first=3&second=5", "/experiments", "/experiments/rag-2026-03", "/updates"),
        *("/tables/2/revoke", "/login", "/nothing"),
    ]


class Page:
    """A session at the page of a home."""

    def __init__(self, home: Path, host: str, pid: int) -> None:
        self.host = host
        postgres = embedded.status(home).postgres
        self.processes = [pid, *([postgres.pid] if postgres else [])]
        self.connection = http.client.HTTPConnection(self.host, timeout=600)
        self.cookie = ""
        self.cookie = self._get(f"/login?token={tokens.issue(home)}")[1].partition(";")[0]

    def ask(self, place: str) -> Asked:
        cpu, before = [_cpu(pid) for pid in self.processes], time.perf_counter()
        size, _ = self._get(place)
        wall = time.perf_counter() - before
        used = [1000 * (_cpu(pid) - was) for pid, was in zip(self.processes, cpu, strict=True)]
        return Asked(1000 * wall, sum(used), used[0], size / 1024)

    def _get(self, place: str) -> tuple[int, str]:
        self.connection.request("GET", place, headers={"Cookie": self.cookie, "Host": self.host})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 303, 404) or (place == "/nothing") != (answer.status == 404):
            raise RuntimeError(f"{place}: {answer.status} {body[:300]!r}")
        return len(body), answer.headers.get("Set-Cookie") or self.cookie


@contextmanager
def _page(home: Path, ahead: bool = True) -> Iterator[Page]:
    """`ahead`: with the task that reads the open reviews before somebody asks."""
    port = processes.free_port(embedded.State(), "web")
    environment = os.environ | processes.python_path() | {"DRIFTLINE_HOME": str(home)}
    command = [sys.executable, "-m", "bench.web", "--serve", str(port), *([] if ahead else ["--not-ahead"])]
    served = subprocess.Popen(command, env=environment)
    try:
        if not processes.wait_until(lambda: processes.listens(port), 120):
            raise RuntimeError("the page does not answer")
        yield Page(home, f"127.0.0.1:{port}", served.pid)
    finally:
        served.terminate()
        served.wait(processes.STOP_SECONDS)


def _serve(port: int, ahead: bool) -> None:
    if not ahead:
        app._warm = lambda context: None
    server.serve(Context(Settings()), processes.HOST, port)


def _cpu(pid: int) -> float:
    """Seconds that a process and its children have used so far, to a nanosecond; children that have ended to a hundredth."""
    process = psutil.Process(pid)
    used = float(sum(process.cpu_times()[2:4]))
    for one in (process, *process.children()):
        with suppress(OSError):  # it has just ended
            used += time.clock_gettime((~one.pid << 3) | 2)  # the clock of another process: clock_getcpuclockid(3)
    return used


# --- the world ---------------------------------------------------------------------------------------------------------


def _fill(conn: Connection, n_clusters: int, triples: int, older: int) -> str:
    """A served table, the one before it, two candidates that wait, and those of the year; a review."""
    names = tuple(f"{world.NAMES[n % 12]}, {world.NAMES[n * 7 % 12]} {n}" for n in range(n_clusters))
    shop, asked = world.open_shop(conn, names, triples), ""
    for number, day in enumerate((0, 2, 4, 6)):
        run = RunIds(f"rag-refresh-{day}", "run")
        inexact = n_clusters * (n_clusters - 1) // 10
        table = world.add_table(conn, shop, n_clusters, day=day, shift=1 + day, inexact=inexact, run=run)
        good = number < 2
        said = world.judged() if good else world.judged(exact=0.9, recall=0.1)
        evaluations.add(conn, table, shop.test_counts, said)
        reports.add(conn, table, [], world.FINDINGS)
        if good:
            channels.publish(conn, table, "default", "driftline", reason="every gate passed")
            continue
        asked = asked or f"review-{table}"
        until = datetime.now(UTC) + timedelta(days=6)
        reviews.open(conn, OpenReview(f"review-{table}", table, said, run, until, "default"))
    experiment_examples.add(conn, experiment_examples.START)
    for _ in range(REPLAYS):
        world.fill_replays(conn, models.get(conn, shop.model))
    world.fill_days(conn, 90)
    for number in range(older):
        evaluations.add(conn, _small_table(conn, shop, number), shop.test_counts, world.judged(recall=0.13 + number / 1e5))
    return asked


def _small_table(conn: Connection, shop: world.Shop, number: int) -> int:
    about = StoreTable(
        kind="rag",
        nominal=world.START - timedelta(days=2 * number),
        counts=shop.counts,
        model=shop.model,
        prompts=PromptsRef("file:///prompts", f"of the year {number}", 1),
        mapping=MappingRef("file:///m", f"of the year {number}", 1, 1, Cost(3402, 23.0, 0.0, 25.0, 1, 0), COMPUTED),
        generation=Generation(),
        run=RunIds(f"rag-refresh-year-{number}", "run"),
    )
    ids = {name: pa.array([value], pa.int32()) for name, value in (("c1", 3), ("c2", 5), ("c_next", 7))}
    return tables.add(conn, about, pa.table({**ids, "exact": [True], "free": pa.array([None], pa.string())})).version


async def _start_runs(address: str) -> None:
    """As many as the page shows, none of which a worker takes."""
    client = await Client.connect(address)
    for number in range(25):
        await client.start_workflow("RagRefresh", id=f"rag-refresh-{number}", task_queue=policies.WORKFLOWS)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=CLUSTERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", type=int, help="serve the page at this port, in this process")
    parser.add_argument("--not-ahead", action="store_true", help="without reading the open reviews ahead")
    asked = parser.parse_args()
    if asked.serve:
        return _serve(asked.serve, not asked.not_ahead)
    show(compare(asked.clusters, TRIPLES, YEAR, asked.rounds, 1), Console(file=sys.stdout, width=200))


if __name__ == "__main__":
    main()
