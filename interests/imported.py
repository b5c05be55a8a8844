"""Interests that a team has already: item → name (design §3.3)."""

import pyarrow as pa
import pyarrow.compute as pc

from driftline.contracts import BadInput
from driftline.interests.descriptions import describe

LONGEST = 200
"""Characters of a name."""


def imported_table(assigned: pa.Table, traffic: pa.Table) -> tuple[pa.Table, pa.Table]:
    """A cluster set out of a taxonomy. Ids go by descending traffic, equals by name; descriptions are the names, made distinct.

    Args:
        assigned: item, name: str; a row per item. Rows without an item or a name are left out.
        traffic: item: str, traffic: int64; positive events of the log's items.

    Returns:
        The clusters (cluster, name, description, keywords, traffic) and the assignment (item, cluster).

    Raises:
        BadInput: an item has two names, or there are fewer than 4 interests.
    """
    assigned = assigned.select(["item", "name"]).drop_null().group_by(["item", "name"]).aggregate([])
    twice = assigned.group_by("item").aggregate([("name", "list")]).filter(pc.list_value_length(pc.field("name_list")) > 1)
    if twice.num_rows:
        item, names = twice["item"][0].as_py(), twice["name_list"][0].as_py()
        raise BadInput(f"{twice.num_rows} items have several interests, e.g. {item!r}: {', '.join(map(repr, sorted(names)))}")
    long = assigned.filter(pc.greater(pc.utf8_length(assigned["name"]), LONGEST))
    if long.num_rows:
        raise BadInput(
            f"an interest's name has more than {LONGEST} characters, e.g. that of item {long['item'][0].as_py()!r}, "
            f"{long['name'][0].as_py()[:40]!r}…: every prompt holds two names, so import shorter ones"
        )
    joined = assigned.join(traffic, "item", join_type="left outer")
    joined = joined.set_column(joined.column_names.index("traffic"), "traffic", pc.fill_null(joined["traffic"], 0))
    named = (
        joined.group_by("name").aggregate([("traffic", "sum")]).sort_by([("traffic_sum", "descending"), ("name", "ascending")])
    )
    if named.num_rows < 4:
        raise BadInput(f"{named.num_rows} interests are too few: every pair needs at least two novel ones, so import 4 or more")
    ids = pa.array(range(named.num_rows), pa.int32())
    names = named["name"].to_pylist()
    clusters = pa.table(
        {
            "cluster": ids,
            "name": names,
            "description": describe([[name] for name in names], 1),
            "keywords": pa.array([[name] for name in names], pa.list_(pa.string())),
            "traffic": named["traffic_sum"],
        }
    )
    items = joined.join(pa.table({"name": names, "cluster": ids}), "name").select(["item", "cluster"])
    return clusters, items
