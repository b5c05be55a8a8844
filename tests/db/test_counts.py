import threading
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from driftline.contracts import CountsRef, Window
from driftline.db import counts
from tests.db import world

WINDOW = Window(world.START, world.START + timedelta(days=1))


def test_rows_come_back_sorted(conn: Connection) -> None:
    version = world.add_counts(conn, world.add_clusters(conn))
    assert counts.read(conn, version).to_pylist() == [
        {"c1": 0, "c2": 1, "c_next": 2, "n": 3},
        {"c1": 0, "c2": 1, "c_next": 3, "n": 1},
        {"c1": 1, "c2": 0, "c_next": 2, "n": 5},
    ]
    assert counts.get(conn, version) == CountsRef(version, Window(world.START, world.START + timedelta(days=90)), 100, 9, 9, 3)
    assert counts.describe(conn, version).dropped == {"unknown item": 2}


def test_the_same_content_is_the_same_version(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    assert world.add_clusters(conn) == cluster_set
    version = world.add_counts(conn, cluster_set)
    assert world.add_counts(conn, cluster_set) == version
    assert world.add_counts(conn, cluster_set, n=4) != version
    assert world.add_counts(conn, cluster_set, day=1) != version


def test_a_window_may_be_empty(conn: Connection) -> None:
    empty = world.some_counts().slice(0, 0)
    about: dict[str, Any] = {"cluster_set": world.add_clusters(conn), "window": WINDOW}
    ref = counts.add(conn, **about, dedup="adjacent", predicate="true", counts=empty, events=0, users=0, dropped={})
    assert (ref.triples, ref.distinct_triples) == (0, 0)
    assert counts.read(conn, ref.version).schema == counts.COUNTS


def test_many_rows(conn: Connection) -> None:
    """More than one COPY batch, and numbers that fill their type."""
    c1, c2, c_next = (index.ravel() for index in np.meshgrid(np.arange(60), np.arange(60), np.arange(60), indexing="ij"))
    distinct = (c1 != c2) & (c1 != c_next) & (c2 != c_next)
    triples = [pa.array(column[distinct], pa.int32()) for column in (c1, c2, c_next)]
    n = np.random.default_rng(0).integers(1, 2**40, distinct.sum())
    table = pa.table([*triples, pa.array(n)], schema=counts.COUNTS)
    cluster_set = world.add_clusters(conn, [f"c{i}" for i in range(60)])
    about: dict[str, Any] = {"cluster_set": cluster_set, "window": WINDOW, "dedup": "first", "predicate": "true"}
    ref = counts.add(
        conn, **about, counts=table.take(np.random.default_rng(1).permutation(table.num_rows)), events=1, users=1, dropped={}
    )
    assert ref.triples == n.sum()
    assert counts.read(conn, ref.version).combine_chunks() == table


def test_two_adders_get_one_version(engine: Engine) -> None:
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn)
    barrier, versions = threading.Barrier(2), []

    def add() -> None:
        with engine.begin() as conn:
            barrier.wait()
            versions.append(world.add_counts(conn, cluster_set))

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 2
    assert len(set(versions)) == 1


def test_different_versions_are_added_side_by_side(engine: Engine) -> None:
    """No deadlock, whoever attaches its partition first."""
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn)
    barrier, versions = threading.Barrier(4), []

    def add(day: int) -> None:
        with engine.begin() as conn:
            barrier.wait()
            versions.append(world.add_counts(conn, cluster_set, day=day))

    threads = [threading.Thread(target=add, args=[day]) for day in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(versions)) == 4


@pytest.mark.parametrize(
    "statement", ["UPDATE transition_count SET n = 1", "DELETE FROM transition_count", "TRUNCATE transition_count"]
)
def test_counts_are_immutable(conn: Connection, statement: str) -> None:
    world.add_counts(conn, world.add_clusters(conn))
    with pytest.raises(IntegrityError, match="append-only"):
        conn.execute(text(statement))


def test_unknown_version(conn: Connection) -> None:
    with pytest.raises(ValueError, match="no counts version 99"):
        counts.read(conn, 99)
