"""Publishing and looking up a transition table, on a Postgres of its own: loading, the switch of a channel, answers.

python -m bench.publish [--clusters 761] [--rounds 2]

CPU-seconds are those of the client and of all of the server's processes.
"""

import shutil
import statistics
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from sqlalchemy import Engine, text

from bench.rows import ResultRow, row, show
from bench.spent import Spent, least, report, spend
from driftline import embedded
from driftline.contracts import StoreTable
from driftline.db import channels, tables
from driftline.db.connection import connect, migrate
from driftline.db.load import copy_rows
from driftline.db.lookup import Snapshot
from driftline.db.mappings import COLUMNS as NAMES
from driftline.db.mappings import checked, to_rows
from driftline.interests.pairs import pairs
from tests.db import world

NAME = "publish"
CLUSTERS = 761
PACKAGES = ("psycopg", "sqlalchemy", "numpy", "pyarrow")
NOTE = """
All 578,360 pairs of 761 clusters on an embedded Postgres. CPU is that of client and server.
"""
OURS, EXECUTEMANY, BY_ROW = "add", "executemany", "copy-by-row"
PEERS = {EXECUTEMANY: "executemany into a table with its key", BY_ROW: "COPY row by row into a table with its key"}
TYPES = ["int8", "int4", "int4", "int4", "text", "text", "int4[]"]
COLUMNS = ", ".join(NAMES)
HELD_SECONDS = 1.0
SWITCHES = 5
LOOKUPS = 20_000
BY_SQL = "SELECT c_next FROM next_cluster(%s, %s)"
BY_VIEW = "SELECT c_next FROM swapped WHERE c1 = %s AND c2 = %s"


def rows(small: bool = False) -> list[ResultRow]:
    return compare(60 if small else CLUSTERS)


def compare(clusters: int, rounds: int = 2) -> list[ResultRow]:
    with _server() as home:
        engine = connect(embedded.status(home).postgres_url)
        try:
            found = [*_loading(home, engine, clusters, rounds), *_parts(home, engine, clusters)]
            old, new = (_good_table(engine, clusters, seed) for seed in (1, 2))
            return found + _switching(engine, old, new) + _answering(home, engine, clusters, old, new)
        finally:
            engine.dispose()


# --- loading -----------------------------------------------------------------------------------------------------------


def _loading(home: Path, engine: Engine, clusters: int, rounds: int) -> list[ResultRow]:
    _request(engine, clusters)
    spent: dict[str, list[Spent]] = {}
    for number in range(rounds):
        for way in (OURS, *PEERS):
            before = _server_cpu(home)
            arguments = ("--run", way, "--home", str(home), "--clusters", str(clusters), "--day", str(number))
            client = spend("bench.publish", *arguments)
            both = client.cpu + _server_cpu(home) - before
            spent.setdefault(way, []).append(replace(client, cpu=both, answer=_digest(engine, client.answer)))
    best = {way: least(of) for way, of in spent.items()}
    ours, size = best[OURS], f"{clusters * (clusters - 1):,} rows"
    found = []
    for way, peer in PEERS.items():
        same, goal = best[way].answer == ours.answer, "≥ 10" if way == EXECUTEMANY else ""
        found += [
            row(NAME, f"CPU-seconds to load {size}, with key, vacuum and attaching", ours.cpu, best[way].cpu, peer, goal, same),
            row(NAME, f"seconds to load {size}", ours.wall, best[way].wall, peer, goal, same),
            row(NAME, "peak memory of the client in MiB", ours.peak, best[way].peak, peer, "", same),
        ]
    return found


def _load(way: str, home: Path, clusters: int, day: int) -> None:
    """One way to load, in this process; its answer is the name of what it has loaded."""
    engine = connect(embedded.status(home).postgres_url)
    request, mapping = _request(engine, clusters, day), drawn_mapping(clusters)
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE IF EXISTS peer"))
        conn.execute(text("CREATE TABLE peer (LIKE transition INCLUDING ALL)"))
    raw = psycopg.connect(embedded.status(home).postgres_url)

    def add() -> str:
        with engine.begin() as conn:
            version = tables.add(conn, request, mapping).version
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text(f"VACUUM (ANALYZE) transition_v{version}"))
        return f"transition_v{version}"

    def executemany() -> str:
        values = list(zip(*(column.to_pylist() for column in to_rows(0, mapping).columns), strict=True))
        raw.cursor().executemany("INSERT INTO peer VALUES (%s, %s, %s, %s, %s, %s, %s)", values)
        raw.commit()
        return "peer"

    def copy_by_row() -> str:
        with raw.cursor().copy("COPY peer FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(TYPES)
            for values in zip(*(column.to_pylist() for column in to_rows(0, mapping).columns), strict=True):
                copy.write_row(values)
        raw.commit()
        return "peer"

    report({OURS: add, EXECUTEMANY: executemany, BY_ROW: copy_by_row}[way], str)


def _parts(home: Path, engine: Engine, clusters: int) -> list[ResultRow]:
    """Where ours spends its CPU: its steps, one at a time, in a transaction that is rolled back."""
    mapping = drawn_mapping(clusters)
    spent: dict[str, float] = {}

    @contextmanager
    def part(client: str, server: str) -> Iterator[None]:
        server_before, client_before = _server_cpu(home), time.process_time()
        yield
        client_used = time.process_time() - client_before
        for name, cpu in ((client, client_used), (server, _server_cpu(home) - server_before)):
            spent[name] = spent.get(name, 0) + cpu

    with engine.connect() as conn:
        conn.execute(text("CREATE TABLE part (LIKE transition INCLUDING ALL EXCLUDING INDEXES)"))
        with part("checking, sorting", "the server, meanwhile"):
            loaded = to_rows(0, checked(mapping, clusters))
        with part("encoding, sending", "COPY in the server: parsing, checks, heap, log"):
            copy_rows(conn, "part", loaded, TYPES, fresh=True)
        with part("waiting", "the key: sorting, index"):
            conn.execute(text("ALTER TABLE part ADD PRIMARY KEY (version, c1, c2)"))
        with part("waiting", "statistics"):
            conn.execute(text("ANALYZE part"))
        conn.rollback()
    total = sum(spent.values())
    return [row(NAME, f"CPU-seconds: {name}", cpu, total, "all parts") for name, cpu in spent.items() if cpu > total / 100]


# --- switching ---------------------------------------------------------------------------------------------------------


def _switching(engine: Engine, old: int, new: int) -> list[ResultRow]:
    """Every switch happens while a reader keeps its transaction open for a second, and another one reads all the time."""

    def publish(version: int) -> None:
        with engine.begin() as conn:
            channels.publish(conn, version, "default", "bench", force=True)

    def swap(version: int) -> None:
        with engine.begin() as conn:
            conn.execute(text(f"CREATE OR REPLACE VIEW swapped AS SELECT * FROM transition WHERE version = {version}"))

    publish(old)
    swap(old)
    ours, peer = [], []
    for number in range(SWITCHES):
        version = (new, old)[number % 2]
        ours.append(_while_held(engine, BY_SQL, partial(publish, version)))
        peer.append(_while_held(engine, BY_VIEW, partial(swap, version)))
    same = _digest(engine, "swapped") == _digest(engine, f"transition_v{version}")
    with engine.connect() as conn:
        same &= channels.current(conn, "default") == version
    took, waited = (([1000 * one[i] for one in ours], [1000 * one[i] for one in peer]) for i in (0, 1))
    name = "CREATE OR REPLACE VIEW"
    return [
        _within(f"ms of a switch, median of {SWITCHES}", statistics.median(took[0]), statistics.median(took[1]), name, 10, same),
        _within(f"ms that a reader waits at most, worst of {SWITCHES} switches", max(waited[0]), max(waited[1]), name, 50, same),
    ]


def _while_held(engine: Engine, query: str, switch: Callable[[], None]) -> tuple[float, float]:
    """Seconds that `switch` takes, and the longest that a reader waited for an answer."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    held, done, waits = threading.Event(), threading.Event(), [0.0]

    def hold() -> None:
        with psycopg.connect(url) as conn:
            conn.execute(query, (0, 1)).fetchall()
            held.set()
            time.sleep(HELD_SECONDS)

    def read() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(query, (0, 1)).fetchall()
            while not done.is_set():
                before = time.perf_counter()
                conn.execute(query, (0, 1)).fetchall()
                waits.append(time.perf_counter() - before)
                time.sleep(0.001)

    threads = [threading.Thread(target=hold), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    held.wait()
    time.sleep(HELD_SECONDS / 10)
    before = time.perf_counter()
    switch()
    took = time.perf_counter() - before
    threads[0].join()
    done.set()
    threads[1].join()
    return took, max(waits)


# --- answering ---------------------------------------------------------------------------------------------------------


def _answering(home: Path, engine: Engine, clusters: int, old: int, new: int) -> list[ResultRow]:
    url = embedded.status(home).postgres_url
    some = np.random.default_rng(3).integers(0, clusters * (clusters - 1), LOOKUPS)
    asked = [(int(a), int(b)) for a, b in zip(*(ids[some] for ids in pairs(clusters)), strict=True)]
    with psycopg.connect(url, autocommit=True) as conn, Snapshot(url) as snapshot:

        def by_sql(c1: int, c2: int) -> int:
            (found,) = conn.execute(BY_SQL, (c1, c2)).fetchone() or (-1,)
            return int(found)

        def nothing(c1: int, c2: int) -> None:
            conn.execute("SELECT %s + %s", (c1, c2)).fetchone()

        same = [by_sql(*pair) for pair in asked] == [snapshot(*pair) for pair in asked]
        each, floor = _p99(by_sql, asked), _p99(nothing, asked)
        (cpu, wall), (peer_cpu, peer_wall) = (_per_lookup(home, one, asked) for one in (snapshot, by_sql))
        late = max(_until_served(engine, snapshot, version) for version in (new, old) * 3)
        whole = snapshot.many(*pairs(clusters))
    reread, answers = _reread(url, clusters, old)
    sql_name = "SQL, next_cluster"
    return [
        _within("ms of a look-up by SQL, 99th percentile", 1000 * each, 1000 * floor, "a round trip that reads nothing", 2),
        row(NAME, "CPU-µs of a look-up in a snapshot", cpu, peer_cpu, sql_name, "≥ 20", same),
        row(NAME, "µs of a look-up in a snapshot", wall, peer_wall, sql_name, "≥ 20", same),
        _within(
            "ms from the commit to the new version in a snapshot, worst of 6",
            1000 * late,
            1000 * reread,
            "only fetching the rows",
            1000,
            np.array_equal(whole, answers),
        ),
    ]


def _p99(look_up: Callable[[int, int], object], asked: list[tuple[int, int]]) -> float:
    took = []
    for c1, c2 in asked:
        before = time.perf_counter()
        look_up(c1, c2)
        took.append(time.perf_counter() - before)
    return statistics.quantiles(took, n=100)[-1]


def _per_lookup(home: Path, look_up: Callable[[int, int], object], asked: list[tuple[int, int]]) -> tuple[float, float]:
    """µs of CPU and of wall time. Clocks that tick a hundred times a second need more than a moment's work."""
    server, cpu, before, repeats = _server_cpu(home), time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - before < 3:
        for c1, c2 in asked:
            look_up(c1, c2)
        repeats += 1
    each = repeats * len(asked) / 1e6
    wall, cpu = time.perf_counter() - before, time.process_time() - cpu
    return (cpu + _server_cpu(home) - server) / each, wall / each


def _until_served(engine: Engine, snapshot: Snapshot, version: int) -> float:
    with engine.begin() as conn:
        channels.publish(conn, version, "default", "bench", force=True)
    before = time.perf_counter()
    while snapshot.version != version:
        time.sleep(0.001)
    return time.perf_counter() - before


def _reread(url: str, clusters: int, version: int) -> tuple[float, NDArray[np.int16]]:
    """Seconds that it takes to read a table's rows as one would, and the answers."""
    before = time.perf_counter()
    with psycopg.connect(url) as conn:
        query = "SELECT c1, c2, c_next FROM transition WHERE version = %s ORDER BY c1, c2"
        found = conn.execute(query, [version], binary=True).fetchall()
    answers = np.array([c_next for _, _, c_next in found], np.int16)
    return time.perf_counter() - before, answers


# --- the world ---------------------------------------------------------------------------------------------------------


@contextmanager
def _server() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="driftline-bench-"))
    try:
        migrate(embedded.start_postgres(home))
        yield home
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def _server_cpu(home: Path) -> float:
    """Seconds that the server's processes have used so far, those that have ended among them."""
    process = embedded.status(home).postgres
    if process is None:
        raise RuntimeError("the benchmark's Postgres has stopped")
    postmaster = psutil.Process(process.pid)
    used = sum(postmaster.cpu_times()[:4])  # children_user and children_system: of those it has waited for
    for child in postmaster.children():
        try:
            used += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return float(used)


def _request(engine: Engine, clusters: int, day: int = 0) -> StoreTable:
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn, [f"cluster {number}" for number in range(clusters)])
        counted = world.add_counts(conn, cluster_set)
        return world.request(world.add_model(conn, cluster_set, counted), counted, day=day)


def drawn_mapping(clusters: int, seed: int = 0) -> pa.Table:
    """Random answers; nine of ten are exact, six of ten have a retrieved cluster."""
    random, (c1, c2) = np.random.default_rng(seed), pairs(clusters)
    c_next = random.integers(0, clusters - 2, len(c1))
    for taken in (np.minimum(c1, c2), np.maximum(c1, c2)):
        c_next += c_next >= taken
    exact = random.random(len(c1)) < 0.9
    free = random.choice(["soft drinks, juice", "canned soup", "pet food and toys"], len(c1))
    ends = np.append(0, np.cumsum(random.random(len(c1)) < 0.6))
    retrieved = random.integers(0, clusters, ends[-1])
    return pa.table(
        {
            "c1": pa.array(c1, pa.int32()),
            "c2": pa.array(c2, pa.int32()),
            "c_next": pa.array(c_next, pa.int32()),
            "exact": exact,
            "free": pa.array(free, pa.string(), mask=exact),
            "retrieved": pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(retrieved, pa.int32())),
        }
    )


def _good_table(engine: Engine, clusters: int, seed: int) -> int:
    request = _request(engine, clusters, day=100 + seed)
    with engine.begin() as conn:
        version = tables.add(conn, request, drawn_mapping(clusters, seed)).version
        world.evaluate(conn, version)
    return version


def _digest(engine: Engine, relation: str) -> str:
    """Of all its rows, in the order of their pairs."""
    query = f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY c1, c2)) FROM (SELECT {COLUMNS} FROM {relation}) t"
    with engine.connect() as conn:
        return str(conn.exec_driver_sql(query).scalar_one())


def _within(metric: str, ours: float, peer: float, peer_name: str, limit: float, same_answer: bool | None = None) -> ResultRow:
    """A row whose goal is of ours alone."""
    compared = row(NAME, metric, ours, peer, peer_name, "", same_answer)
    compared["goal"], compared["met"] = f"≤ {limit:g} {metric.split()[0]}", ours <= limit
    return compared


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=CLUSTERS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", help="one way to load, in this process, into the server in --home")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--day", type=int, default=0)
    asked = parser.parse_args()
    if asked.run:
        _load(asked.run, asked.home, asked.clusters, asked.day)
    else:
        show(compare(asked.clusters, asked.rounds), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
