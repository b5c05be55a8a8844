"""A candidate made bad on purpose, and everything an engineer can do about it. The tests of this file build on each other."""

import json
import subprocess
from typing import Any

import pytest

from driftline import embedded
from driftline.embedded import temporal
from tests.end_to_end.conftest import NOMINAL
from tests.end_to_end.stack import Stack

pytestmark = pytest.mark.long

BAD = (
    *("run", "fine-tune", "--wait", "--at", NOMINAL),
    *("--set", "training.steps=1", "--set", "gates.min_exact_match_rate=0.99", "--set", "channel=trial"),
)


def waiting(stack: Stack) -> list[str]:
    return [gate["gate_id"] for gate in stack.json("review", "list")]


def signal(stack: Stack, workflow: str, verdict: object) -> None:
    """The second door: Temporal's own command, as an engineer without ours would use it."""
    address = embedded.status(stack.home).temporal_address
    command = [temporal.binary(), "workflow", "signal", "--address", address, "--workflow-id", workflow]
    subprocess.run([*command, "--name", "verdict", "--input", json.dumps(verdict)], check=True, capture_output=True)


def ended(stack: Stack, workflow: str) -> str | None:
    """The stage in which the newest run of this name has ended."""
    run = next(run for run in stack.json("status")["runs"] if run["workflow_id"] == workflow)
    return run["stage"] if run["status"] == "completed" else None


@pytest.fixture(scope="module")
def stopped(stack: Stack, cluster_set: Any) -> Any:
    return stack.json(*BAD, code=3)


def test_it_is_stopped_and_shown_with_its_evidence(stack: Stack, stopped: Any) -> None:
    assert stopped["outcome"] == "review"
    (gate,) = stack.json("review", "list")
    assert (gate["gate_id"], gate["candidate"]) == (stopped["gate_id"], stopped["table"])
    assert "exact_match_rate" in gate["failed_gates"]
    assert gate["evidence"]["exact_match_rate"] < 0.99
    assert gate["waiting_since"] < gate["expires_at"]
    shown = stack.json("review", "show", gate["gate_id"])
    assert shown["inexact"]
    assert all(answer["free"] for answer in shown["inexact"])
    assert "exact-match rate" in stack("review", "show", gate["gate_id"])


def test_nothing_is_published_and_nothing_can_be(stack: Stack, stopped: Any) -> None:
    assert "nothing is published on channel 'trial'" in stack("lookup", "0", "1", "--channel", "trial", code=1)
    refused = stack("tables", "publish", str(stopped["table"]), "--channel", "trial", code=1)
    assert "nobody approved it" in refused


def test_a_foreign_or_malformed_verdict_changes_nothing(stack: Stack, stopped: Any) -> None:
    assert "no review 000000000000" in stack("review", "approve", "000000000000", "--as", "ana", code=1)
    signal(stack, stopped["workflow_id"], {"gate_id": "000000000000", "decision": "approve", "reviewer": "eve"})
    signal(stack, stopped["workflow_id"], "approve")
    assert waiting(stack) == [stopped["gate_id"]]
    assert "nothing is published" in stack("lookup", "0", "1", "--channel", "trial", code=1)


def test_rerun_trains_again_and_the_old_gate_is_stale(stack: Stack, stopped: Any) -> None:
    again = stack.json("review", "rerun", stopped["gate_id"], "--as", "ana", "--reason", "another seed", "--wait", code=3)
    assert again["gate_id"] != stopped["gate_id"]
    assert waiting(stack) == [again["gate_id"]]
    first, second = (stack.json("tables", "show", str(run["table"])) for run in (stopped, again))
    assert first["model_version"] != second["model_version"]
    assert [lineage["recipe"]["seed"] for lineage in (first, second)] == [0, 1]
    assert "stale" in stack("review", "approve", stopped["gate_id"], "--as", "ana", code=1)
    assert waiting(stack) == [again["gate_id"]]


def test_abort_through_temporals_own_door_ends_the_run(stack: Stack, stopped: Any) -> None:
    (gate,) = waiting(stack)
    verdict = {"gate_id": gate, "decision": "abort", "reviewer": "ben", "reason": "not worth it"}
    signal(stack, stopped["workflow_id"], verdict)
    assert stack.until("the end of the run", lambda: ended(stack, stopped["workflow_id"]), 30) == "aborted"
    assert waiting(stack) == []
    shown = stack.json("review", "show", gate)
    assert (shown["decision"], shown["reviewer"], shown["reason"]) == ("abort", "ben", "not worth it")
    late = stack("review", "approve", gate, "--as", "ana", code=1)
    assert "has ended" in late
    assert "nothing is published" in stack("lookup", "0", "1", "--channel", "trial", code=1)


def test_approve_publishes_under_the_reviewers_name(stack: Stack, stopped: Any) -> None:
    candidate = stack.json(*BAD, code=3)
    assert candidate["table"] == stopped["table"]  # the same inputs are the same version, and still need a verdict
    done = stack.json("review", "approve", candidate["gate_id"], "--as", "ana", "--reason", "good enough", "--wait")
    assert (done["outcome"], done["table"]) == ("published", candidate["table"])
    assert stack.json("lookup", "0", "1", "--channel", "trial")["version"] == candidate["table"]
    (move,) = stack.json("tables", "history", "--channel", "trial")
    assert (move["actor"], move["reviewer"], move["reason"], move["gate_id"]) == (
        "ana",
        "ana",
        "good enough",
        candidate["gate_id"],
    )
