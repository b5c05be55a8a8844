"""Seconds that `count_triples` takes on the demo's log, beside a plain scan of the same window: best of n, interleaved.

python -m bench.count_triples [n]
"""

import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from contracts import Sequences, Source, Window
from sources.counting import count_triples
from sources.demo import write_demo
from sources.log import open_source, span
from sources.profile import catalogue


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    wall, busy = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - wall, cpu() - busy


def scan(source: Source, window: Window) -> None:
    """Reads what counting reads, and nothing more: the floor."""
    with open_source(source, items=False) as con:
        con.execute(
            """
            SELECT max("user"), max(item), max(basket), count(*) FROM driftline_events
            WHERE positive AND ts >= $start AND ts < $end""",
            {"start": window.start.replace(tzinfo=None), "end": window.end.replace(tzinfo=None)},
        ).fetchall()


def main(rounds: int) -> None:
    with TemporaryDirectory() as folder:
        source = write_demo(Path(folder))
        items = catalogue(source)["item"]
        assignment = pa.table({"item": items, "cluster": pa.array([n % 24 for n in range(len(items))], pa.int32())})
        _, last = span(source)
        for days in (90, 366):
            window = Window(last - timedelta(days=days), last)
            works: dict[str, Callable[[], object]] = {
                "scan": partial(scan, source, window),
                "first": partial(count_triples, source, Sequences(dedup="first"), window, assignment),
                "adjacent": partial(count_triples, source, Sequences(dedup="adjacent"), window, assignment),
            }
            best = dict.fromkeys(works, (float("inf"), float("inf")))
            for _ in range(rounds):
                for name, work in works.items():
                    best[name] = min(best[name], seconds(work))
            for name, (wall, busy) in best.items():
                print(f"{days:4} days  {name:9} {wall:6.2f} s  {busy:6.2f} CPU-s  {wall / best['scan'][0]:5.1f} x scan")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
