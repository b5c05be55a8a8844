import pyarrow as pa
import pytest
from sqlalchemy import Connection

from driftline.contracts import ClusterSetRef
from driftline.db import clusters
from tests.db import world


def test_round_trip(conn: Connection) -> None:
    version = world.add_clusters(conn)
    assert clusters.newest(conn) == version
    assert clusters.get(conn, version).schema == clusters.CLUSTERS
    assert clusters.get(conn, version)["description"].to_pylist() == ["tea, fresh", "milk, fresh", "rice, fresh", "soap, fresh"]
    assert clusters.items(conn, version).to_pylist() == [{"item": f"item-{i}", "cluster": i} for i in range(4)]
    assert clusters.describe(conn, version).method == {"fan_out": [4]}
    assert clusters.newest(conn) == world.add_clusters(conn, ["tea", "milk", "rice"]) - 1


def test_items_come_back_letter_by_letter(conn: Connection) -> None:
    table = clusters.get(conn, world.add_clusters(conn))
    named = {"": 2, "Tee für zwei": 0, "茶": 0, "a\nb": 3, "🫖": 2, "z" * 3000: 0}
    items = pa.table([list(named), list(named.values())], schema=clusters.ITEMS)
    version = clusters.add(conn, table, items, {}).version
    assert clusters.items(conn, version).equals(items.sort_by("item"))
    assert clusters.items(conn, clusters.add(conn, table, clusters.ITEMS.empty_table(), {}).version).num_rows == 0


def test_a_given_key_decides(conn: Connection) -> None:
    table = clusters.get(conn, world.add_clusters(conn))
    none = clusters.ITEMS.empty_table()
    first = clusters.add(conn, table, none, {}, key="build-1")
    assert first == ClusterSetRef(first.version, 4, 0)
    assert clusters.add(conn, table, none, {"other": "method"}, key="build-1") == first
    assert clusters.add(conn, table, none, {}, key="build-2") != first


def test_ids_must_fit(conn: Connection) -> None:
    table = clusters.get(conn, world.add_clusters(conn))
    with pytest.raises(ValueError, match=r"cluster ids must be 0\.\.2"):
        clusters.add(conn, table.slice(1), clusters.ITEMS.empty_table(), {})
    with pytest.raises(ValueError, match=r"not in the set: \[7\]"):
        clusters.add(conn, table, pa.table({"item": ["a"], "cluster": [7]}), {})
    with pytest.raises(ValueError, match="no cluster set 99"):
        clusters.get(conn, 99)
