"""The cadence with the real commands: decided, overridden and made up for; and measured once, though its worker is killed."""

import json
from typing import Any

import psycopg
import pytest

from driftline import embedded
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_main_job import sql, tables

WINDOWS = ("--set", "rag_refresh.days=40", "--set", "rag_refresh.validation_days=20")
ADAPTIVE = ("--set", "cadence.policy=adaptive", "--set", "rag_refresh.answers=counts", *WINDOWS)
FIRST, QUIET, SAID, KILLED = "2024-04-11", "2024-04-14", "2024-04-15", "2024-04-16"
EXPERIMENT = {
    "serving.channels.control": "0.5",
    "serving.channels.treatment": "0.5",
    "experiment.exposures": "SELECT i % 400 AS user, TIMESTAMP '2026-02-20' + INTERVAL (i * 9) MINUTE AS ts, "
    "hash(i) % 3 = 0 AS liked FROM range(4000) AS r(i)",
    "experiment.days": "3",
    "experiment.metrics.liked.value": "liked",
}


@pytest.fixture(scope="module")
def served(stack: Stack, cluster_set: Any) -> int:
    """The table that the first day of the cadence has started, on two channels."""
    assert decide(stack, FIRST) | {"cost": 0} == {
        "day": FIRST,
        "action": "counts",
        "reasons": ["No table is served."],
        "cost": 0,
        "left": None,
        "override": None,
    }
    table: int = stack.until("its table", lambda: [n for n, table in tables(stack).items() if "paced" in table["channels"]])[0]
    stack("tables", "publish", str(table), "--channel", "again", "--as", "test")
    return table


def decide(stack: Stack, day: str, channel: str = "paced") -> Any:
    return stack.json("cadence", "decide", "--at", day, "--set", f"channel={channel}", *ADAPTIVE)


def test_days_are_decided_once_and_a_backfill_decides_the_same(stack: Stack, served: int) -> None:
    quiet = decide(stack, QUIET)
    assert quiet["action"] == "none"
    assert quiet["reasons"][0].startswith(f"Since {FIRST} fresh counts would have hit")
    assert decide(stack, QUIET) == quiet
    assert decide(stack, QUIET, "again") == quiet
    said = ("--from", SAID, "--reason", "the shelves were moved", "--as", "ana", "--set", "channel=paced")
    word = stack.json("cadence", "override", "counts", *said)
    told = decide(stack, SAID)
    assert (told["action"], told["override"]) == ("counts", word["id"])
    assert told["reasons"] == [f"ana said so for {SAID}: the shelves were moved"]
    assert decide(stack, SAID, "again")["action"] == "none"
    assert "was decided about already" in stack("cadence", "override", "none", *said, code=1)
    days = stack.json("cadence", "status", "--set", "channel=paced")["days"]
    assert [(day["day"], day["action"]) for day in days] == [(SAID, "counts"), (QUIET, "none"), (FIRST, "counts")]
    assert [day["measured"]["table"] for day in days[:2]] == [served, served]
    assert days[0]["settings"]["rule"] == 2


@pytest.mark.timeout(1200)
@pytest.mark.long
def test_a_worker_that_is_killed_while_it_measures_leaves_what_an_undisturbed_one_does(stack: Stack, served: int) -> None:
    """Both wait for Postgres in the middle of the day's measure when it is killed: the cadence's, and an experiment's."""
    knobs = [word for name, value in EXPERIMENT.items() for word in ("--set", f"{name}={value}")]
    start = ("experiment", "start", "--from", "2026-03-02", "--json", *knobs)
    with psycopg.connect(embedded.status(stack.home).postgres_url) as held:
        held.execute("LOCK TABLE publication IN ACCESS EXCLUSIVE MODE")
        stack(*start, "killed")
        deciding = stack.start("cadence", "decide", "--at", KILLED, "--set", "channel=again", "--json", *ADAPTIVE)
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'publication'::regclass AND NOT granted"
        stack.until("both to be measuring", lambda: sql(stack, waiting)[0][0] >= 2)
        stack.worker().kill()
        held.rollback()
    stack("up")
    out, errors = deciding.communicate(timeout=900)
    assert deciding.returncode == 0, f"{out}\n{errors}\n{stack.logs()}"
    stack(*start, "calm")
    ended = "SELECT count(*) FROM experiment_end WHERE experiment IN ('killed', 'calm')"
    stack.until("both experiments", lambda: sql(stack, ended)[0][0] == 2)

    # As another channel that serves the same table, undisturbed; its last update is a day on which a person said so.
    assert json.loads(out)["action"] == decide(stack, KILLED)["action"] == "none"
    measured = sql(stack, f"SELECT measured FROM cadence_day WHERE day = '{KILLED}'")
    assert len(measured) == 2
    assert measured[0] == measured[1]
    found = dict(sql(stack, "SELECT experiment, result FROM experiment_measurement"))
    assert len(sql(stack, "SELECT 1 FROM experiment_measurement")) == len(found) == 2
    assert found["killed"] == found["calm"]
    assert found["calm"]["days"] == 3
