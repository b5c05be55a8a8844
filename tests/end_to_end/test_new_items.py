"""A shop that sells what its cluster set has never seen: a gate says so, and the nearest interest takes the new items in."""

import csv
from typing import Any

import pytest

from tests.end_to_end.shop import NAMES
from tests.end_to_end.stack import Stack

pytestmark = pytest.mark.long

NEW = {
    "milk-9": "organic milk",
    "wine-9": "dessert wine",
    "bread-9": "corn bread",
    "soap-9": "liquid soap",
    "apple-9": "sour apple",
}


@pytest.fixture(scope="module")
def grown(stack: Stack) -> tuple[str, ...]:
    """Settings of a log and a catalogue in which half of the purchases of five interests are of a new item."""
    with (stack.folder / "items.csv").open() as file:
        items = list(csv.reader(file))
    with (stack.folder / "events.csv").open() as file:
        events = list(csv.reader(file))
    for row in events:
        name, _, number = row[1].partition("-")
        if f"{name}-9" in NEW and number in ("0", "1"):
            row[1] = f"{name}-9"
    for name, rows in (("items_now.csv", [*items, *NEW.items()]), ("events_now.csv", events)):
        with (stack.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return ("--set", "source.items=items_now.csv", "--set", "source.events=events_now.csv")


def test_a_refresh_that_knows_too_few_of_the_items_is_stopped(stack: Stack, fine_tuned: Any, grown: tuple[str, ...]) -> None:
    refresh = ("run", "rag-refresh", "--wait", *grown)
    stopped = stack.json(*refresh, "--at", "2024-04-09", code=3)
    found = stack.json("review", "show", stopped["review_id"])
    assert "unknown_share" in found["failed_gates"]
    assert 0.2 < found["evidence"]["unknown_share"] < 0.5
    assert "`driftline clusters assign`" in found["evidence"]["reasons"]["unknown_share"]
    assert any("no cluster has, above the gate" in finding["text"] for finding in found["report"]["findings"])
    assert "events of items that no cluster has" in stack("review", "show", stopped["review_id"])
    stack("review", "abort", stopped["review_id"])


def test_new_items_come_to_the_nearest_interest_and_their_events_count(
    stack: Stack, cluster_set: Any, fine_tuned: Any, grown: tuple[str, ...]
) -> None:
    done = stack.json("clusters", "assign", *grown)
    assert (done["cluster_set"], done["items"]) == (cluster_set["version"], len(NEW))
    of = {cluster["description"]: cluster["cluster"] for cluster in cluster_set["clusters"]}
    assert {row["cluster"] for row in done["clusters"]} == {of[item.partition("-")[0]] for item in NEW}
    again = stack.json("clusters", "assign", "--cluster-set", str(cluster_set["version"]), *grown)
    assert (again["assignment"], again["items"], again["clusters"]) == (done["assignment"], 0, [])
    shown = stack.json("clusters", "show")
    assert (shown["assignment"], shown["assigned_items"], shown["items"]) == (done["assignment"], len(NEW), 4 * len(NAMES))
    assert shown["clusters"] == cluster_set["clusters"]

    refresh = ("run", "rag-refresh", "--wait", *grown, "--at", "2024-04-11", "--set", "clusters.assign=auto")
    stopped = stack.json(*refresh, "--set", "gates.review=always", code=3)
    assert "unknown_share" not in stack.json("review", "show", stopped["review_id"])["failed_gates"]
    stack("review", "abort", stopped["review_id"])
    lineage = stack.json("tables", "show", str(stopped["table"]))
    assert (lineage["assignment"], lineage["assigned_items"], lineage["unknown_share"]) == (done["assignment"], len(NEW), 0)
    assert "no item of the catalogue is new" in stack("clusters", "assign", *grown)
