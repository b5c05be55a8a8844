"""A log of any length, the same for the same numbers: users and items of very unequal activity, written as it grows.

Half of a user's events lie in some twenty clusters that the user likes. Times are in milliseconds, in order, over 90 days. One
event in twenty has the time of the one before it, as when a client sends two together; one in five is not positive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from driftline.contracts import Source, Window

START = datetime(2024, 1, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=90))
"""All of the log."""

CHUNK = 1 << 20
LOG = pa.schema([("user", pa.string()), ("item", pa.string()), ("ts", pa.timestamp("ms")), ("seconds", pa.int32())])


@dataclass(frozen=True)
class Synthetic:
    events: int
    users: int = 1_000_000
    items: int = 200_000
    clusters: int = 761
    seed: int = 0


def write_log(synthetic: Synthetic, path: Path) -> Source:
    """Writes `path` (Parquet, zstd) a million events at a time."""
    with pq.ParquetWriter(path, LOG, compression="zstd") as writer:
        for batch in _events(synthetic):
            writer.write_table(batch, row_group_size=CHUNK // 8)
    return Source(events=str(path), positive="seconds >= 10")


def assignment(synthetic: Synthetic) -> pa.Table:
    """Columns item (str), cluster (int32). One item in fifty is in no cluster."""
    kept = [n for n in range(synthetic.items) if n % 50]
    clusters = np.array(kept) % synthetic.clusters
    return pa.table({"item": pa.array([_item(n) for n in kept]), "cluster": pa.array(clusters, pa.int32())})


def _events(synthetic: Synthetic) -> Iterator[pa.Table]:
    rng = np.random.default_rng(synthetic.seed)
    # Ids as they come out of other people's systems: long, and in no order.
    users = pa.array([f"{n * 0x9E3779B97F4A7C15 % (1 << 64):016x}" for n in range(synthetic.users)])
    items = pa.array([_item(n) for n in range(synthetic.items)])
    step = (WINDOW.end - WINDOW.start) / timedelta(milliseconds=1) / synthetic.events
    first = np.datetime64(START.replace(tzinfo=None), "ms")
    for begin in range(0, synthetic.events, CHUNK):
        n = min(CHUNK, synthetic.events - begin)
        user = (synthetic.users * rng.random(n) ** 1.5).astype(np.int64)
        again = np.flatnonzero(rng.random(n) < 0.05)
        user[again] = user[again - 1]
        time = ((begin + np.arange(n)) * step).astype(np.int64)
        time[again] = time[again - 1]
        liked = (user * 7919 + (20 * rng.random(n) ** 2).astype(np.int64) * 131) % synthetic.clusters
        liked += synthetic.clusters * (synthetic.items // synthetic.clusters * rng.random(n) ** 2).astype(np.int64)
        popular = (synthetic.items * rng.random(n) ** 2).astype(np.int64)
        item = np.where(rng.random(n) < 0.5, liked % synthetic.items, popular)
        seconds = np.where(rng.random(n) < 0.2, 5, 10 + rng.integers(0, 600, n))
        yield pa.table(
            {"user": users.take(user), "item": items.take(item), "ts": first + time, "seconds": seconds.astype(np.int32)}, LOG
        )


def _item(number: int) -> str:
    return f"item{number:06d}"
