"""Versions that can be told apart: each has a cluster set of its own, in which every item is in another interest."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Engine

from driftline.contracts import Window
from driftline.db import assignments, channels, clusters, counts, tables
from driftline.interests.pairs import pairs
from tests.db import world

SIZE = 5
NAMES = ["tea", "milk", "rice", "soap", "cola"]
ITEMS = [f"item-{number}" for number in range(SIZE)]


@dataclass(frozen=True)
class Version:
    """Number k: item i is in interest (i + k) mod 5, whose name ends in k."""

    number: int
    version: int
    cluster_set: int

    def interest(self, item: int) -> int:
        return (item + self.number) % SIZE

    def name(self, interest: int) -> str:
        return f"{NAMES[interest]} {self.number}"

    def next(self, c1: int, c2: int) -> int:
        """What its table says."""
        return _next(c1, c2, self.number)


def _next(c1: int, c2: int, number: int) -> int:
    others = [c for c in range(SIZE) if c not in (c1, c2)]
    return others[(c1 + number) % len(others)]


def add(conn: Connection, number: int) -> Version:
    cluster_set = _add_set(conn, number)
    return _add_table(conn, number, cluster_set, world.add_counts(conn, cluster_set))


def add_with_late_items(conn: Connection, late: list[dict[str, int]]) -> list[Version]:
    """Tables of one cluster set, each counted when some more items had come to it: item → interest."""
    cluster_set, made = _add_set(conn, 0), []
    for day, items in enumerate(late):
        rows = {"item": list(items), "cluster": list(items.values()), "similarity": [1.0] * len(items)}
        assignment = assignments.add(conn, cluster_set, pa.table(rows), {"late": day}).version
        window = Window(world.START + timedelta(days=day), world.START + timedelta(days=day + 90))
        about = {"cluster_set": cluster_set, "window": window, "dedup": "first", "predicate": "", "assignment": assignment}
        counted = counts.add(conn, counts=world.some_counts(), events=9, users=9, dropped={}, **about)  # type: ignore[arg-type]
        made.append(_add_table(conn, 0, cluster_set, counted.version, day))
    return made


def _add_set(conn: Connection, number: int) -> int:
    ids = list(range(SIZE))
    names = [f"{name} {number}" for name in NAMES]
    described = {"description": names, "keywords": [[name] for name in names], "traffic": [50, 40, 30, 20, 10]}
    items = pa.table({"item": ITEMS, "cluster": [(i + number) % SIZE for i in ids]})
    return clusters.add(conn, pa.table({"cluster": ids, "name": names, **described}), items, {"k": number}).version


def _add_table(conn: Connection, number: int, cluster_set: int, counted: int, day: int | None = None) -> Version:
    """By the counts of `world`: (1, 0) → 2 five times, (0, 1) → 2 three times, (0, 1) → 3 once."""
    model = world.add_model(conn, cluster_set, counted)
    c1, c2 = pairs(SIZE)
    c_next = np.array([_next(a, b, number) for a, b in zip(c1.tolist(), c2.tolist(), strict=True)], np.int32)
    mapping = {"c1": c1.astype(np.int32), "c2": c2.astype(np.int32), "c_next": c_next, "exact": [True] * len(c1)}
    mapping["free"] = pa.nulls(len(c1), pa.string())
    request = world.request(model, counted, day=number if day is None else day)
    table = tables.add(conn, request, pa.table(mapping)).version
    world.evaluate(conn, table)
    return Version(number, table, cluster_set)


def publish(engine: Engine, version: Version, channel: str = "default") -> None:
    with engine.begin() as conn:
        channels.publish(conn, version.version, channel, "test", force=True)
