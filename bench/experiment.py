"""Reading 50 M exposures of a live experiment: seconds, CPU-seconds and peak memory.

python -m bench.experiment [--exposures 50000000]
"""

import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from driftline.contracts import Experiment, ExperimentInput, Metric

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS, BEFORE, PER_USER = 14, 14, 10


def write(folder: Path, exposures: int) -> None:
    """A user per ten exposures, over the days before and of the experiment; the outcomes are in them."""
    seconds = f"(hash(i + 1) % {(DAYS + BEFORE) * 86_400})::BIGINT - {BEFORE * 86_400}"
    with duckdb.connect() as con:
        con.execute(f"""
            COPY (
                SELECT 'user-' || (hash(i) % {exposures // PER_USER}) AS user,
                    TIMESTAMP '2026-03-01' + to_seconds({seconds}) AS ts,
                    hash(i + 2) % 3 = 0 AS liked, (hash(i + 3) % 5)::DOUBLE AS watched
                FROM range({exposures}) AS r(i)
            ) TO '{folder}/log.parquet' (FORMAT parquet, COMPRESSION zstd)""")


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.experiment", description=__doc__)
    parser.add_argument("--exposures", type=int, default=50_000_000)
    parser.add_argument("--read", type=Path, help="what an earlier call has written; a process of its own, for its memory")
    asked = parser.parse_args()
    if asked.read is None:
        with TemporaryDirectory(prefix="driftline-bench-") as folder:
            write(Path(folder), asked.exposures)
            subprocess.run([sys.executable, "-m", "bench.experiment", "--read", folder], check=True)
        return
    from driftline.sources.exposures import read_days

    metrics = {"liked": Metric("liked"), "like rate": Metric("liked", per="1.0"), "watched": Metric("watched")}
    experiment = Experiment(exposures=str(asked.read / "log.parquet"), metrics=metrics, days_before=BEFORE)
    request = ExperimentInput("bench", experiment, START, {"control": 1.0, "treatment": 1.0}, "salt")
    began = time.perf_counter()
    observed = read_days(request, DAYS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{sum(int(users[-1]) for users in observed.users):,} users, {time.perf_counter() - began:.1f} s, "
        f"{used.ru_utime + used.ru_stime:.1f} CPU-seconds, peak {used.ru_maxrss / 1024:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
