"""Items that are added to a set: versions that only grow, and counts that know which one they are of."""

import threading
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from driftline.contracts import AssignmentRef, Window
from driftline.db import assignments, channels, clusters, counts, evaluations, serving, tables
from driftline.db.connection import cursor
from driftline.db.keys import content_key
from tests.db import world

WINDOW = Window(world.START, world.START + timedelta(days=1))


def some(**cluster: int) -> pa.Table:
    return pa.table({"item": list(cluster), "cluster": list(cluster.values()), "similarity": [0.5] * len(cluster)})


def counted(conn: Connection, cluster_set: int, assignment: int | None = None, unknown: int = 0) -> int:
    about: dict[str, Any] = {"cluster_set": cluster_set, "window": WINDOW, "dedup": "first", "predicate": "true"}
    dropped = {"events_of_unknown_items": unknown}
    rows = world.some_counts()
    return counts.add(conn, **about, counts=rows, events=100, users=9, dropped=dropped, assignment=assignment).version


def test_a_version_adds_what_is_new_and_leaves_the_rest_alone(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    assert assignments.newest(conn, cluster_set) == AssignmentRef(cluster_set, None, 0)
    first = assignments.add(conn, cluster_set, some(b=3, a=1), {"model": "minilm"})
    again = assignments.add(conn, cluster_set, some(b=0, a=0, **{"item-2": 0}), {"model": "minilm"})
    assert again == AssignmentRef(cluster_set, first.version, 0)
    second = assignments.add(conn, cluster_set, some(a=2, c=2), {"model": "minilm"})
    assert (first.items, second.items) == (2, 1)
    assert assignments.newest(conn, cluster_set) == AssignmentRef(cluster_set, second.version, 3)

    own = {f"item-{i}": i for i in range(4)}
    of = {
        version: dict(zip(*clusters.items(conn, cluster_set, version).to_pydict().values(), strict=True))
        for version in (None, first.version, second.version)
    }
    assert of == {None: own, first.version: own | {"a": 1, "b": 3}, second.version: own | {"a": 1, "b": 3, "c": 2}}
    assert assignments.added(conn, second.version or 0).to_pylist() == [{"item": "c", "cluster": 2, "similarity": 0.5}]
    assert clusters.describe(conn, cluster_set).items == 4


def test_a_set_has_its_own_assignments_only(conn: Connection) -> None:
    one, other = world.add_clusters(conn), world.add_clusters(conn, ["tea", "milk", "rice", "salt"])
    assignments.add(conn, one, some(a=1), {})
    newest = assignments.add(conn, other, some(a=2), {}).version
    assert "a" not in clusters.items(conn, one)["item"].to_pylist()
    assert clusters.items(conn, other, newest).filter(pc.field("item") == "a")["cluster"].to_pylist() == [2]
    with pytest.raises(ValueError, match=r"not in the set: \[4\]"):
        assignments.add(conn, one, some(b=4), {})


@pytest.mark.parametrize("table", ["assignment", "assignment_item", "cluster_centre"])
def test_nothing_of_it_is_changed(conn: Connection, table: str) -> None:
    cluster_set = world.add_clusters(conn)
    assignments.add(conn, cluster_set, some(a=1), {})
    assignments.add_centres(conn, cluster_set, np.array([0], np.int32), np.ones((1, 2), np.float32), "minilm")
    with pytest.raises(IntegrityError, match="append-only"):
        conn.execute(text(f"DELETE FROM {table}"))


def test_centres_stay_as_they_were_first_kept(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    assert assignments.model(conn, cluster_set) is None
    ids, middles = np.array([0, 3], np.int32), np.array([[1, 0], [0.6, 0.8]], np.float32)
    assignments.add_centres(conn, cluster_set, ids, middles, "minilm")
    assignments.add_centres(conn, cluster_set, ids, middles[::-1], "other")
    kept = assignments.centres(conn, cluster_set)
    assert np.array_equal(kept[0], ids)
    assert np.array_equal(kept[1], middles)
    assert assignments.model(conn, cluster_set) == "minilm"


def test_a_set_is_bound_to_the_model_it_was_built_with(conn: Connection) -> None:
    table = clusters.get(conn, world.add_clusters(conn))
    built = clusters.add(conn, table, clusters.ITEMS.empty_table(), {"built": {"embedding_model": "mpnet"}})
    assert assignments.model(conn, built.version) == "mpnet"
    assert assignments.model_of_centres(conn, built.version) is None


def test_counts_are_of_one_assignment_and_keys_of_before_are_kept(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    assigned = assignments.add(conn, cluster_set, some(a=1), {}).version
    without, with_it = counted(conn, cluster_set), counted(conn, cluster_set, assigned)
    assert without != with_it == counted(conn, cluster_set, assigned)
    assert (counts.describe(conn, without).assignment, counts.describe(conn, with_it).assignment) == (None, assigned)
    window = (WINDOW.start, WINDOW.end)
    former = content_key(cluster_set, *window, "first", "true", counts.read(conn, without))
    key = conn.execute(text("SELECT key FROM counts WHERE version = :v"), {"v": without}).scalar_one()
    assert key == former


def test_the_share_of_events_that_no_cluster_has_is_the_largest_of_the_windows(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    assigned = assignments.add(conn, cluster_set, some(a=1), {}).version
    full, half = counted(conn, cluster_set), counted(conn, cluster_set, assigned, unknown=100)
    assert counts.unknown_share(conn, full) == 0
    assert counts.unknown_share(conn, full, half) == 0.5


def test_lineage_names_the_assignment_and_the_lost_share(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    assignments.add(conn, cluster_set, some(a=1), {})
    second = assignments.add(conn, cluster_set, some(b=1, c=2), {}).version
    version = counted(conn, cluster_set, second)
    made = world.request(world.add_model(conn, cluster_set, version), version)
    table = tables.add(conn, made, world.mapping()).version
    assert tables.get(conn, table).unknown_share is None
    judged = evaluations.add(conn, table, version, replace(world.evaluation(), unknown_share=0.25))
    assert evaluations.get(conn, table) == judged
    lineage = tables.lineage(conn, table)
    assert (lineage["assignment"], lineage["assigned_items"], lineage["unknown_share"]) == (second, 3, 0.25)
    assert (tables.get(conn, table).assignment, tables.list_tables(conn)[-1].unknown_share) == (second, 0.25)

    older = tables.lineage(conn, world.add_good_table(conn))
    assert (older["assignment"], older["assigned_items"]) == (None, 0)


def test_what_serves_a_table_knows_the_items_that_it_was_counted_with(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    first = assignments.add(conn, cluster_set, some(a=1), {}).version
    assignments.add(conn, cluster_set, some(later=1), {})
    keys = set()
    for day, (assigned, known) in enumerate(((None, []), (first, [("a", 1)]))):
        version = counted(conn, cluster_set, assigned)
        made = world.request(world.add_model(conn, cluster_set, version), version, day=day)
        table = tables.add(conn, made, world.mapping()).version
        evaluations.add(conn, table, version, world.evaluation())
        channels.publish(conn, table, "default", actor="ana", reason="good")
        raw = cursor(conn).connection
        (pointer,) = (one for one in serving.pointers(raw) if one.version == table)
        interests = serving.read_interests(raw, pointer)
        own = {f"item-{i}": i for i in range(4)} | dict(known)
        found = dict(zip(interests.hashes.tolist(), interests.clusters.tolist(), strict=True))
        assert found == {hashed(item): cluster for item, cluster in own.items()}
        keys.add(pointer.items_key)
    assert len(keys) == 2


def hashed(item: str) -> int:
    return int.from_bytes(sha256(item.encode()).digest()[:8])


def test_two_at_once_add_an_item_once(engine: Engine) -> None:
    with engine.begin() as conn:
        cluster_set = world.add_clusters(conn)
    barrier, made = threading.Barrier(2), []

    def add(own: str) -> None:
        with engine.begin() as conn:
            barrier.wait()
            made.append(assignments.add(conn, cluster_set, some(shared=1, **{own: 2}), {}))

    threads = [threading.Thread(target=add, args=(own,)) for own in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ref.items for ref in made) == [1, 2]
    with engine.connect() as conn:
        newest = assignments.newest(conn, cluster_set)
        assert clusters.items(conn, cluster_set, newest.version).num_rows == 4 + 3
