"""What the page reads at once: a table's answers and a window's traffic, pair by pair."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from driftline.db import counts, pairs, tables
from tests.db import world

TRIPLES = [(0, 1, 2, 3), (0, 1, 3, 4), (0, 2, 1, 2**33), (3, 0, 1, 1), (3, 2, 0, 1), (3, 2, 1, 1)]


def counted(conn: Connection, triples: Sequence[tuple[int, int, int, int]]) -> int:
    columns = {name: [row[place] for row in triples] for place, name in enumerate(("c1", "c2", "c_next", "n"))}
    typed = {name: pa.array(values, pa.int64() if name == "n" else pa.int32()) for name, values in columns.items()}
    cluster_set = world.add_clusters(conn)
    window = counts.get(conn, world.add_counts(conn, cluster_set)).window
    about: dict[str, Any] = {"cluster_set": cluster_set, "window": window, "dedup": "first", "predicate": "true"}
    return counts.add(conn, **about, counts=pa.table(typed), events=9, users=9, dropped={}).version


def seen(conn: Connection, version: int) -> set[tuple[int, int, int]]:
    return set(zip(*(column.tolist() for column in pairs.traffic(conn, version)), strict=True))


def test_traffic_is_kept_with_the_counts_and_is_the_sum_of_its_triples(conn: Connection) -> None:
    version = counted(conn, TRIPLES[::-1])
    assert seen(conn, version) == {(0, 1, 7), (0, 2, 2**33), (3, 0, 1), (3, 2, 2)}
    assert counts.read(conn, version).num_rows == len(TRIPLES)


def test_traffic_of_a_version_that_was_counted_before_is_summed(conn: Connection) -> None:
    version = counted(conn, TRIPLES)
    kept = seen(conn, version)
    conn.exec_driver_sql("ALTER TABLE pair_traffic DISABLE TRIGGER USER")
    conn.exec_driver_sql("DELETE FROM pair_traffic")
    assert seen(conn, version) == kept


def test_a_window_without_a_triple_has_no_traffic(conn: Connection) -> None:
    assert seen(conn, counted(conn, [])) == set()


def test_answers_are_in_the_order_of_their_pairs(conn: Connection) -> None:
    version = world.add_table(conn, pairs=world.PAIRS[::-1])
    expected = tables.answers(conn, version)["c_next"].to_numpy()
    assert np.array_equal(pairs.next_of(conn, version), expected)
