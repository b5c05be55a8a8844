"""Versions that can be told apart: each has a cluster set of its own, in which every item is in another interest."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Engine

from driftline.db import channels, clusters, tables
from driftline.interests.triples import pairs
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
    ids = list(range(SIZE))
    names = [f"{name} {number}" for name in NAMES]
    described = {"description": names, "keywords": [[name] for name in names], "traffic": [50, 40, 30, 20, 10]}
    items = pa.table({"item": ITEMS, "cluster": [(i + number) % SIZE for i in ids]})
    cluster_set = clusters.add(conn, pa.table({"cluster": ids, "name": names, **described}), items, {"k": number}).version
    counted = world.add_counts(conn, cluster_set)  # (1, 0) → 2 five times, (0, 1) → 2 three times, (0, 1) → 3 once
    model = world.add_model(conn, cluster_set, counted)
    c1, c2 = pairs(SIZE)
    c_next = np.array([_next(a, b, number) for a, b in zip(c1.tolist(), c2.tolist(), strict=True)], np.int32)
    mapping = {"c1": c1.astype(np.int32), "c2": c2.astype(np.int32), "c_next": c_next, "exact": [True] * len(c1)}
    mapping["free"] = pa.nulls(len(c1), pa.string())
    table = tables.add(conn, world.request(model, counted, day=number), pa.table(mapping)).version
    world.evaluate(conn, table)
    return Version(number, table, cluster_set)


def publish(engine: Engine, version: Version, channel: str = "default") -> None:
    with engine.begin() as conn:
        channels.publish(conn, version.version, channel, "test", force=True)
