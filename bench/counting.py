"""Counting triples: by sorting, by the SQL that defines them, and with pandas, interleaved on one log.

python -m bench.counting [--events 50000000] [--dedup first] [--rounds 2]
"""

import hashlib
import importlib.util
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from bench.rows import ResultRow, row, show
from bench.spent import Spent, least, report, spend
from bench.synthetic import WINDOW, Synthetic, assignment, write_log
from driftline.contracts import Sequences, Source
from driftline.sources import packed
from driftline.sources.counting import count_triples
from driftline.sources.log import utc
from driftline.sources.sequences import REFERENCE, open_assigned

NAME = "counting"
EVENTS = 50_000_000
EVENTS_PER_USER = 50
PACKAGES = ("duckdb", "numpy", "pyarrow", "pandas")
NOTE = """
Counting a synthetic log (`bench/synthetic.py`): 90 days, one user per 50 events, 200,000 items, 761 clusters. The counts are
compared row by row; pandas takes one round.
"""
OURS, SQL, PANDAS, TUNED = "duckdb", REFERENCE, "pandas", "pandas-tuned"
PEERS = (
    # engine, its name, goals of CPU-seconds, seconds and peak memory
    (SQL, "the SQL on DuckDB", "≤ 0.5", "≤", "≤ 0.6"),
    (PANDAS, "pandas, the SQL's steps", "≥ 7", "≥", "≥"),
    (TUNED, "pandas, tuned by hand", "≥", "≥", "≥"),
)
TENTH = "a tenth of the log"
STAGES = ("open", "scan", "stream", "users")


def rows(small: bool = False) -> list[ResultRow]:
    return compare(EVENTS // 25 if small else EVENTS)


def compare(events: int, dedup: str = "first", rounds: int = 2) -> list[ResultRow]:
    """pandas takes one round, because it takes minutes; the others take the best of `rounds`."""
    spent: dict[str, list[Spent]] = {}
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        log, tenth = f"{folder}/log.parquet", f"{folder}/tenth.parquet"
        write_log(_log(events), Path(log))
        write_log(_log(events // 10), Path(tenth))
        for number in range(rounds):
            slow = (PANDAS, TUNED) if number == 0 and importlib.util.find_spec("pandas") else ()
            for engine in (OURS, SQL, *slow, *STAGES):
                spent.setdefault(engine, []).append(_spend(engine, log, events, dedup))
            spent.setdefault(TENTH, []).append(_spend(OURS, tenth, events // 10, dedup))
    return _rows(events, {name: least(of) for name, of in spent.items()})


def _rows(events: int, spent: dict[str, Spent]) -> list[ResultRow]:
    ours, tenth = spent[OURS], spent[TENTH]
    size = f"{events / 1e6:g} M events"
    found = []
    for engine, peer, cpu, wall, peak in PEERS:
        if engine in spent:
            other = spent[engine]
            same = other.answer == ours.answer
            found += [
                row(NAME, f"CPU-seconds, {size}", ours.cpu, other.cpu, peer, cpu, same),
                row(NAME, f"seconds, {size}", ours.wall, other.wall, peer, wall, same),
                row(NAME, f"peak memory in MiB, {size}", ours.peak, other.peak, peer, peak, same),
            ]
    found.append(row(NAME, "CPU-µs per event", ours.cpu / events * 1e6, tenth.cpu / events * 1e7, TENTH, "≤ 1.25"))
    opened, scan, stream, users = (spent[stage].cpu for stage in STAGES)
    parts = {
        "opening the log and the cluster set": opened,
        "reading the columns, which nothing can avoid": scan - opened,
        "hashing users, mapping items, handing over": stream - scan,
        "the list of users, to be exact and for ties": users - opened,
        "sorting, ties, triples": ours.cpu - stream - users + opened,
    }
    return found + [row(NAME, f"CPU-seconds: {part}", share, ours.cpu, "all of ours") for part, share in parts.items()]


def _spend(engine: str, log: str, events: int, dedup: str) -> Spent:
    return spend("bench.counting", "--run", engine, "--log", log, "--events", str(events), "--dedup", dedup)


def _work(engine: str, log: str, events: int, dedup: str) -> Callable[[], Any]:
    source, given = Source(events=log, positive="seconds >= 10"), assignment(_log(events))
    if engine in STAGES:
        return partial(_stage, engine, source, given)
    if engine in (PANDAS, TUNED):
        from bench.counting_pandas import plain, tuned

        return partial(plain if engine == PANDAS else tuned, log, WINDOW, given, dedup)
    return lambda: count_triples(source, Sequences(dedup=dedup), WINDOW, given, engine).table  # type: ignore[arg-type]


def _answer(counted: Any) -> str:
    """A hash of the columns."""
    digest = hashlib.sha256()
    if counted is not None:
        table = counted if isinstance(counted, pa.Table) else pa.Table.from_pandas(counted)
        for column in ("c1", "c2", "c_next", "n"):
            for chunk in table[column].chunks:
                digest.update(chunk.to_numpy().astype(np.int64).data)
    return digest.hexdigest()


def _stage(stage: str, source: Source, given: pa.Table) -> None:
    asked = {"start": utc(WINDOW.start), "end": utc(WINDOW.end)}
    with open_assigned(source, given) as con:
        if stage == "scan":
            con.execute(
                'SELECT max("user"), max(item) FROM driftline_events WHERE positive AND ts >= $start AND ts < $end', asked
            ).fetchall()
        elif stage == "users":
            con.execute(packed.USERS.format(hash=packed.HASH.format("u")), asked)
        elif stage == "stream":
            con.execute(packed.CLUSTERS)
            query = packed.EVENTS.format(hash=packed.HASH.format("l"), time="l.ts", width=1 << 10, baskets="")
            for _ in con.sql(query, params=asked).to_arrow_reader(packed.BATCH):
                pass


def _log(events: int) -> Synthetic:
    return Synthetic(events, users=max(1, events // EVENTS_PER_USER))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--dedup", choices=("first", "adjacent"), default="first")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", help="one engine or stage, in this process, on --log")
    parser.add_argument("--log")
    asked = parser.parse_args()
    if asked.run:
        report(_work(asked.run, asked.log, asked.events, asked.dedup), _answer)
    else:
        show(compare(asked.events, asked.dedup, asked.rounds), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
