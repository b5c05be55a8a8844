"""From an event log to a published table and back, with the real commands. The tests of this file build on each other."""

import asyncio
import csv
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from driftline import embedded
from driftline.activities.artifacts import LocalArtifacts
from driftline.contracts import RunOutcome
from tests.end_to_end.conftest import NOMINAL, SETTINGS
from tests.end_to_end.shop import NAMES, USERS
from tests.end_to_end.stack import Stack

PAIRS = len(NAMES) * (len(NAMES) - 1)
CLOCK = ("next_starts", "last_started", "running")
"""Of a schedule, what time alone changes."""


def tables(stack: Stack) -> dict[int, Any]:
    return {table["version"]: table for table in stack.json("tables", "list")}


def sql(stack: Stack, query: str) -> list[Any]:
    with closing(psycopg.connect(embedded.status(stack.home).postgres_url)) as connection:
        return connection.execute(query).fetchall()


def test_ingest_reports_what_is_in_the_log(stack: Stack) -> None:
    with (stack.folder / "events.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = stack.json("ingest")
    assert (found["events"], found["users"], found["items"]) == (len(rows), USERS, 4 * len(NAMES))
    assert found["positive"] == sum(int(row["quantity"]) > 0 for row in rows)
    assert (found["unknown_items"], found["dropped"]) == (0, {})


def test_real_embeddings_find_the_interests_that_the_shop_was_made_of(cluster_set: Any) -> None:
    assert {cluster["description"] for cluster in cluster_set["clusters"]} == set(NAMES)
    assert cluster_set["items"] == 4 * len(NAMES)


def test_a_fine_tune_that_passes_its_gates_is_published(stack: Stack, fine_tuned: Any) -> None:
    assert (fine_tuned["outcome"], fine_tuned["attempts"]) == ("published", 1)
    table = tables(stack)[fine_tuned["table"]]
    assert (table["kind"], table["rows"], table["complete"]) == ("fine_tune", PAIRS, True)
    assert (table["channels"], table["failed_gates"]) == (["default"], [])
    assert table["model_version"] == fine_tuned["model"]
    assert table["workflow_id"] == fine_tuned["workflow_id"] == f"fine-tune-{NOMINAL}"
    assert table["published_at"]
    assert table["recall_low"] > table["recall_chance"] == 1 / (len(NAMES) - 2)
    start, end = (datetime.fromisoformat(table[f"window_{edge}"]) for edge in ("start", "end"))
    windows = SETTINGS["fine_tune"]
    assert isinstance(windows, dict)
    held_out = timedelta(days=windows["validation_days"] + windows["test_days"])
    assert end == datetime.fromisoformat(NOMINAL).replace(tzinfo=UTC) - held_out
    assert end - start == timedelta(days=windows["days"] - windows["validation_days"])


def test_the_published_table_was_made_with_the_adapter_the_run_trained(stack: Stack, fine_tuned: Any) -> None:
    lineage = stack.json("tables", "show", str(fine_tuned["table"]))
    assert LocalArtifacts(stack.home / "artifacts").find(lineage["adapter_uri"], lineage["adapter_hash"])
    assert lineage["recipe"]["steps"] == 300
    assert lineage["validation_window_start"] == lineage["model_window_end"]
    curve = lineage["validation"]
    assert curve["best_step"] in curve["step"]
    assert len(curve["step"]) == len(curve["loss"]) == len(curve["exact_match_rate"]) > 1
    assert (lineage["base_model"], lineage["predicate"]) == (str(stack.folder / "llm"), "quantity > 0")
    assert lineage["model_workflow_id"] == lineage["workflow_id"] == fine_tuned["workflow_id"]
    assert lineage["publications"][0]["actor"] == "driftline"


def test_every_pair_has_an_answer_that_is_novel(stack: Stack, fine_tuned: Any) -> None:
    rows = sql(stack, f"SELECT c1, c2, c_next FROM transition WHERE version = {fine_tuned['table']}")
    assert len({(c1, c2) for c1, c2, _ in rows}) == len(rows) == PAIRS
    assert all(c_next not in (c1, c2) and 0 <= c_next < len(NAMES) for c1, c2, c_next in rows)


def test_lookup_and_sql_agree(stack: Stack, fine_tuned: Any) -> None:
    for c1, c2 in ((0, 1), (7, 3)):
        answer = stack.json("lookup", str(c1), str(c2))
        assert sql(stack, f"SELECT c_next, version, decoding FROM next_cluster({c1}, {c2})") == [
            (answer["c_next"], answer["version"], answer["decoding"])
        ]
        assert (answer["c1"], answer["c2"], answer["channel"]) == (c1, c2, "default")
        assert {answer["c1_name"], answer["c2_name"], answer["c_next_name"]} < set(NAMES)
    assert "no pair (3, 3)" in stack("lookup", "3", "3", code=1)


def test_a_refresh_retrieves_publishes_and_can_be_rolled_back(stack: Stack, fine_tuned: Any) -> None:
    stopped = stack.json("run", "rag-refresh", "--wait", "--at", "2024-04-05", "--set", "gates.review=always", code=3)
    refreshed = stack.json("review", "approve", stopped["gate_id"], "--as", "cem", "--wait")
    slow, fast = fine_tuned["table"], refreshed["table"]
    assert (refreshed["outcome"], refreshed["model"]) == ("published", fine_tuned["model"])
    assert fast != slow
    listed = tables(stack)
    assert (listed[fast]["kind"], listed[fast]["rows"], listed[fast]["channels"]) == ("rag", PAIRS, ["default"])
    assert listed[slow]["channels"] == []

    changed = stack.json("tables", "diff", str(slow), str(fast))
    assert (changed["pairs"], changed["changed"]) == (PAIRS, len(changed["rows"]))
    assert changed["rows"], "retrieved clusters changed nothing"
    pair = changed["rows"][0]
    look = ("lookup", str(pair["c1"]), str(pair["c2"]))
    assert stack.json(*look)["c_next"] == pair["b_next"]

    stack("tables", "rollback", "--as", "ana", "--reason", "looks odd")
    assert stack.json(*look)["c_next"] == pair["a_next"]
    stack("tables", "publish", str(fast), "--as", "ben")
    assert stack.json(*look)["version"] == fast
    moves = [(m["action"], m["from_version"], m["to_version"], m["actor"]) for m in stack.json("tables", "history")]
    assert moves[:3] == [("publish", slow, fast, "ben"), ("rollback", fast, slow, "ana"), ("publish", slow, fast, "cem")]


def test_a_run_that_cannot_succeed_fails_with_its_reason(stack: Stack, cluster_set: Any) -> None:
    failed = stack.json("run", "fine-tune", "--wait", "--at", "2023-01-01", code=1)
    assert failed["outcome"] == "failed"
    assert "event" in failed["error"]


def test_schedules_are_applied_paused_and_resumed(stack: Stack) -> None:
    names = {"driftline-fine-tune", "driftline-rag-refresh", "driftline-watch"}
    assert stack.json("schedule", "apply") == dict.fromkeys(names, "created")
    stack("schedule", "pause", "rag-refresh", "--note", "stocktaking")
    assert stack.json("schedule", "apply") == dict.fromkeys(names, "updated")
    listed = {row["id"]: row for row in stack.json("schedule", "list")}
    assert set(listed) == names
    assert [(listed[name]["paused"], listed[name]["note"]) for name in sorted(names)] == [
        (False, listed["driftline-fine-tune"]["note"]),
        (True, "stocktaking"),  # an update does not undo what somebody did by hand
        (False, listed["driftline-watch"]["note"]),
    ]
    assert all(start.endswith("-01T03:00:00Z") for start in listed["driftline-fine-tune"]["next_starts"])
    stack("schedule", "resume")
    assert not any(row["paused"] for row in stack.json("schedule", "list"))


def test_a_backfill_makes_the_version_that_the_run_of_that_day_made(stack: Stack, fine_tuned: Any) -> None:
    before = set(tables(stack))
    stack("schedule", "backfill", "fine-tune", "--from", NOMINAL, "--to", NOMINAL)
    outcome = asyncio.run(result(stack, f"driftline-fine-tune-{NOMINAL}T03:00:00Z"))
    assert (outcome.table, outcome.model) == (fine_tuned["table"], fine_tuned["model"])
    assert outcome.outcome == "superseded"  # the refresh of a later day stays where it is
    assert set(tables(stack)) == before


async def result(stack: Stack, workflow: str) -> RunOutcome:
    client = await Client.connect(embedded.status(stack.home).temporal_address, data_converter=pydantic_data_converter)
    for patience in range(50, -1, -1):
        runs = [run async for run in client.list_workflows(f"WorkflowId = '{workflow}'")]
        if runs or not patience:
            break
        await asyncio.sleep(0.2)
    assert runs, f"the schedule never started {workflow}"
    outcome: RunOutcome = await client.get_workflow_handle(workflow, result_type=RunOutcome).result()
    return outcome


def test_down_and_up_keeps_everything(stack: Stack, fine_tuned: Any) -> None:
    def kept() -> tuple[Any, ...]:
        """A schedule's own clock goes on."""
        schedules = [{name: fact for name, fact in each.items() if name not in CLOCK} for each in stack.json("schedule", "list")]
        return stack.json("lookup", "0", "1"), tables(stack), schedules

    before = kept()
    stack("down")
    assert stack.json("status", code=1)["postgres"] == "stopped"
    assert "`driftline up`" in stack("lookup", "0", "1", code=1)
    up = stack.json("up")
    assert {up[part] for part in ("postgres", "temporal", "worker")} == {"running"}
    assert kept() == before
