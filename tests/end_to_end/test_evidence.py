"""Measurements and the report, by the real commands: their numbers are worked out again here, from the log and from SQL."""

import csv
import html
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from driftline.interests.metrics.arms import FREQUENT_RENEWED, NO_RAG, POPULAR, RAG_FIXED, RAG_RENEWED
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_main_job import sql

pytestmark = pytest.mark.long

FROM, TO = "2024-03-20", "2024-04-01"
PERIOD = ("--from", FROM, "--to", TO)
KNOBS = ("--set", "measures.retrieval_top_k=[1]", "--set", "retrieval.global_triples=5", "--set", "measures.window_days=20")


def sequences(stack: Stack, cluster_set: Any) -> dict[str, list[int]]:
    """Each user's clusters in the held-out days, first visits only, in the order of time."""
    cluster = dict(sql(stack, f"SELECT item, cluster FROM cluster_item WHERE cluster_set = {cluster_set['version']}"))
    begin, end = datetime.fromisoformat(FROM), datetime.fromisoformat(TO)
    found: dict[str, list[int]] = defaultdict(list)
    with (stack.folder / "events.csv").open() as file:
        for row in sorted(csv.DictReader(file), key=lambda row: row["ts"]):
            step = cluster[row["item"]]
            if begin <= datetime.fromisoformat(row["ts"]) < end and int(row["quantity"]) > 0 and step not in found[row["user"]]:
                found[row["user"]].append(step)
    return found


@pytest.fixture(scope="module")
def refresh(stack: Stack, fine_tuned: Any) -> Any:
    (measured,) = stack.json("evaluate", "refresh", *PERIOD, "--every", "6d", "--wait", *KNOBS)["measurements"]
    return measured


def test_the_hit_rate_is_what_the_log_says(stack: Stack, cluster_set: Any, fine_tuned: Any, refresh: Any) -> None:
    table = fine_tuned["table"]  # the model's own mapping, without RAG
    answer = {(a, b): c for a, b, c in sql(stack, f"SELECT c1, c2, c_next FROM transition WHERE version = {table}")}
    hits = asked = last = users = 0
    for steps in sequences(stack, cluster_set).values():
        for i in range(len(steps) - 2):
            asked += 1
            hits += answer[steps[i], steps[i + 1]] in steps[i + 2 :]
        last += len(steps) >= 2
        users += len(steps) >= 3
    result = refresh["result"]
    arms = {arm["name"]: arm for arm in result["arms"]}
    assert asked > 200
    assert (result["occurrences"], result["last_pairs"], result["users"]) == (asked, last, users)
    assert arms[NO_RAG]["rate"]["value"] == pytest.approx(hits / asked)
    assert arms[NO_RAG]["rate"]["low"] < hits / asked < arms[NO_RAG]["rate"]["high"]


def test_every_arm_is_measured_on_the_same_days(refresh: Any) -> None:
    result = refresh["result"]
    assert [arm["name"] for arm in result["arms"]][:4] == [NO_RAG, RAG_FIXED, RAG_RENEWED, POPULAR]
    assert len(result["days"]) == 12
    assert all(len(arm["daily"]) == 12 and arm["rate"]["n"] == result["users"] for arm in result["arms"])
    first_days = [[day["value"] for day in arm["daily"][:6]] for arm in result["arms"] if arm["name"] in (RAG_FIXED, RAG_RENEWED)]
    assert first_days[0] == first_days[1]  # until it is renewed, it is the same mapping
    assert (RAG_RENEWED, FREQUENT_RENEWED) in {(d["a"], d["b"]) for d in result["differences"]}
    assert refresh["inputs"]["every_days"] == 6


def test_a_refresh_of_days_that_the_model_has_learned_from_is_refused(stack: Stack, fine_tuned: Any) -> None:
    said = stack("evaluate", "refresh", "--from", "2024-02-01", "--to", TO, "--wait", code=1)
    assert "nothing is held out: choose a later --from" in said


def test_a_period_without_days_is_refused(stack: Stack, fine_tuned: Any) -> None:
    assert "no held-out period" in stack("evaluate", "refresh", "--from", TO, "--to", TO, "--wait", code=1)


def test_answers_with_and_without_rag_are_compared_pair_by_pair(stack: Stack, fine_tuned: Any) -> None:
    (measured,) = stack.json("evaluate", "answers", *PERIOD, "--wait", *KNOBS)["measurements"]
    result = measured["result"]
    assert (result["pairs"], result["temperature"]) == (56, 1.0)
    assert 0 < result["with_line"] <= 56
    for name in ("sampled_with_without", "sampled_repeated", "greedy_with_without", "repeats_retrieved"):
        assert 0 <= result[name]["low"] <= result[name]["value"] <= result[name]["high"] <= 1
    assert result["sampled_repeated"]["value"] < 1  # the two samplings are not the same draw


@pytest.mark.timeout(1200)
def test_the_report_holds_everything_that_was_measured(stack: Stack, fine_tuned: Any, refresh: Any) -> None:
    table, page = fine_tuned["table"], stack.folder / "report.html"
    said = stack.json("report", str(table), "--full", *KNOBS)
    assert (said["table"], said["failed"], Path(said["page"])) == (table, [], page)
    assert said["retrieval"]["arms"][0]["name"] == NO_RAG
    assert said["drift"]["windows"]
    assert said["staleness"]["points"]
    assert table in {quality["table"] for quality in said["qualities"]}
    text = html.unescape(page.read_text()).replace("\u00a0", " ")
    assert [finding["text"] for finding in said["findings"] if finding["text"].split("`")[0] not in text] == []
    assert "<svg" in text
    assert "http" not in text
    assert stack.json("tables", "show", str(table))["reports"][-1]["version"] == said["report"]
    assert stack.json("report", str(table), "--stored", *KNOBS)["report"] == said["report"]  # nothing new to say


def test_what_a_mapping_cost_is_on_record(stack: Stack, fine_tuned: Any) -> None:
    columns = "tokens_trained, tokens_forwarded, asked, reused, generate_cpu_seconds"
    query = f"SELECT {columns} FROM table_cost WHERE version = {fine_tuned['table']}"
    ((trained, forwarded, asked, reused, seconds),) = sql(stack, query)
    assert trained > 300
    assert forwarded > 56
    assert asked + reused == 56
    assert seconds > 0


@pytest.mark.timeout(1200)
def test_a_killed_measurement_goes_on_and_answers_no_mapping_twice(stack: Stack, fine_tuned: Any) -> None:
    """`kill -9` of the worker in the middle of the replay."""

    def mappings() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in stack.home.glob("artifacts/mappings/*/*/mapping.parquet")}

    before = mappings()
    running = stack.start(
        "evaluate", "refresh", "--from", "2024-03-13", "--to", "2024-04-01", "--every", "8d", "--wait", "--json"
    )
    try:
        stack.until("a mapping of the replay", lambda: len(mappings()) > len(before))
        worker = stack.worker()
        worker.kill()
        worker.wait(60)
        finished = mappings()
        assert running.poll() is None, "the replay was over before the kill"
        stack("up")
        out, errors = running.communicate(timeout=900)
        assert running.returncode == 0, f"{out}\n{errors}\n{stack.logs()}"
    finally:
        running.kill()
        running.communicate()
    after = mappings()
    assert {path: after[path] for path in finished} == finished
    assert len(after) > len(finished)
