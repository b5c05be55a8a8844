"""What it costs to measure a day of the cadence: CPU-seconds and peak memory, on the demo's log and on a synthetic one.

python -m bench.cadence_day [--events 50000000]
"""

import os
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from driftline.contracts import Clusters, Sequences, Source, Window

DAYS = 28
"""Of a window."""


def measure(source: Source, items: pa.Table, clusters: int, end: datetime) -> str:
    """As `measure_day` does with two tables on record, of two and of four weeks before."""
    from driftline.interests.cadence_day import day_hits, of_day
    from driftline.sources.counting import count_triples

    def count(first: int, last: int) -> pa.Table:
        """The counts of a window, by days before the end."""
        window = Window(end - timedelta(days=first), end - timedelta(days=last))
        return count_triples(source, Sequences("adjacent"), window, items, "duckdb").table

    stale, learned = count(DAYS + 14, 14), count(DAYS + 28, 28)
    began, wall = time.process_time(), time.perf_counter()
    fresh, wide, narrow = count(DAYS + 1, 1), count(DAYS + 1, 0), count(DAYS + 1, 1)
    found = day_hits(of_day(wide, narrow), fresh, stale, learned, clusters)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{found.triples:,} triples of the day, {found.fresh:,} hit by fresh counts, {time.perf_counter() - wall:.1f} s, "
        f"{time.process_time() - began:.1f} CPU-seconds, peak {peak:,.0f} MiB"
    )


def demo(work: Path) -> str:
    from bench.recipe import interests
    from driftline.settings import Settings
    from driftline.sources.demo import write_demo
    from driftline.sources.log import span

    os.environ["DRIFTLINE_HOME"] = str(work)
    source = write_demo(work / "demo")
    items, _ = interests(work, Settings(source=source, clusters=Clusters(fan_out=(24,)), home=work))
    return measure(source, items, 24, _midnight(span(source)[1]))


def synthetic(work: Path, events: int) -> str:
    from bench.synthetic import WINDOW, Synthetic, assignment, write_log

    log = Synthetic(events, users=events // 50)
    return measure(write_log(log, work / "log.parquet"), assignment(log), log.clusters, WINDOW.end)


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.cadence_day", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--only", choices=("demo", "synthetic"), help="in this process; each has one of its own, for its memory")
    asked = parser.parse_args()
    if asked.only is None:
        for only in ("demo", "synthetic"):
            subprocess.run([sys.executable, "-m", "bench.cadence_day", "--events", str(asked.events), "--only", only], check=True)
        return
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        print(asked.only, demo(Path(folder)) if asked.only == "demo" else synthetic(Path(folder), asked.events))


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


if __name__ == "__main__":
    main()
