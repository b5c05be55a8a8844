"""Small logs for the tests of this room, and the counting rule a second time, in plain Python."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from driftline.contracts import Source, Window

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
EVENTS = pa.schema(
    [("user", pa.string()), ("item", pa.string()), ("ts", pa.timestamp("us")), ("basket", pa.string()), ("liked", pa.bool_())]
)
Triples = dict[tuple[int, int, int], int]


@dataclass(frozen=True)
class Event:
    user: str | None
    item: str | None
    minute: int | None
    """After START."""
    basket: str | None = None
    liked: bool | None = True


def write_log(path: Path, events: Iterable[Event]) -> Source:
    rows = [
        {
            "user": event.user,
            "item": event.item,
            "ts": None if event.minute is None else (START + timedelta(minutes=event.minute)).replace(tzinfo=None),
            "basket": event.basket,
            "liked": event.liked,
        }
        for event in events
    ]
    pq.write_table(pa.Table.from_pylist(rows, EVENTS), path)
    return Source(events=str(path), basket="basket", positive="liked")


def visits(user: str, items: str, every: int = 10) -> list[Event]:
    """One event per letter, `every` minutes apart."""
    return [Event(user, item, every * position) for position, item in enumerate(items)]


def assignment(clusters: dict[str, int]) -> pa.Table:
    return pa.table(
        {"item": pa.array(clusters, pa.string()), "cluster": pa.array(list(clusters.values()), pa.int32())},
    )


def triples(counts: pa.Table) -> Triples:
    return {(row["c1"], row["c2"], row["c_next"]): row["n"] for row in counts.to_pylist()}


def reference(events: Sequence[Event], clusters: dict[str, int], window: Window, dedup: str) -> Triples:
    times: dict[Event, datetime] = {}
    for event in events:
        if event.user is not None and event.item is not None and event.minute is not None and event.liked:
            time = START + timedelta(minutes=event.minute)
            if window.start <= time < window.end:
                times[event] = time
    sequences: dict[str, set[tuple[datetime, str, int]]] = {}
    for event, own in times.items():
        if event.item in clusters:
            basket = [t for other, t in times.items() if (other.user, other.basket) == (event.user, event.basket)]
            time = own if event.basket is None else min(basket)
            cluster = clusters[event.item]
            micros = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            tie = hashlib.md5(f"{event.user} {micros} {cluster}".encode()).hexdigest()
            sequences.setdefault(str(event.user), set()).add((time, tie, cluster))
    counts: Counter[tuple[int, int, int]] = Counter()
    for steps in sequences.values():
        sequence: list[int] = []
        for _, _, cluster in sorted(steps):
            if cluster not in (sequence if dedup == "first" else sequence[-1:]):
                sequence.append(cluster)
        counts.update(t for t in zip(sequence, sequence[1:], sequence[2:], strict=False) if len(set(t)) == 3)
    return dict(counts)
