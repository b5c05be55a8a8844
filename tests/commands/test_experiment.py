"""`driftline experiment` as a person and as a script read it, over a Postgres and without a Temporal."""

import json
from pathlib import Path

import pytest

from driftline.commands.output import DONE, FAILED
from driftline.db.connection import connect
from tests.commands.conftest import Call
from tests.report import experiment_examples

SETTINGS = '''
[serving.channels]
control = 0.5
treatment = 0.5
[experiment]
exposures = """
SELECT i % 50 AS user, TIMESTAMP '2026-03-01' + INTERVAL (i) MINUTE AS ts, hash(i) % 3 = 0 AS liked FROM range(900) AS r(i)
"""
[experiment.metrics.liked]
value = "liked"
'''


@pytest.fixture
def recorded(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("DRIFTLINE_TEMPORAL_ADDRESS", "127.0.0.1:1")
    engine = connect(postgres_url)
    with engine.begin() as conn:
        experiment_examples.add(conn, experiment_examples.START)
    engine.dispose()


@pytest.mark.usefixtures("recorded")
def test_status_and_report_are_the_same_facts_for_people_and_scripts(call: Call, tmp_path: Path) -> None:
    assert call("experiment", "status").exit_code == DONE
    (found,) = json.loads(call("experiment", "status", "--json").stdout)
    assert (found["name"], found["outcome"], found["measured"]["days"]) == ("rag-2026-03", None, 2)
    assert found["findings"][0]["level"] == "good"
    assert call("experiment", "report", "rag-2026-03").exit_code == DONE
    assert "The guardrail complaints got worse" in (tmp_path / "experiment.html").read_text()


@pytest.mark.usefixtures("recorded")
def test_what_it_would_find_is_shown_and_nothing_started(call: Call) -> None:
    Path("driftline.toml").write_text(SETTINGS)
    found = json.loads(call("experiment", "start", "next", "--from", "2026-03-02", "--plan", "--json").stdout)
    assert found["workflow_id"] is None
    assert found["detectable"]["liked"]["users"] == 50


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("status other", "no experiment 'other'"),
        ("report other", "no experiment 'other'"),
        ("start next", "channel 'control' has no weight: set serving.channels"),
        ("start not/a/name", "the experiment's name"),
        ("stop rag-2026-03 --ship control", "nothing is published on channel 'control'"),
        ("stop rag-2026-03 --as ana", "Temporal does not answer"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(call: Call, arguments: str, said: str) -> None:
    done = call("experiment", *arguments.split())
    assert done.exit_code == FAILED
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
