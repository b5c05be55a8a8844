"""`driftline cadence` on a real Postgres: what a person says, what is shown of it, and what is refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from driftline import cli
from driftline.contracts import Cadence, CadenceDecision, Rule
from driftline.db import cadence, connection
from tests.db import world

TODAY = datetime.now(UTC).date()
LATER = TODAY + timedelta(days=3)


def asked(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, ["cadence", *arguments], env={"COLUMNS": "400"})
    assert result.exit_code == code, (arguments, result.output, result.exception)
    return json.loads(result.stdout) if "--json" in arguments else result.output


def test_a_word_is_on_record_and_shown_and_one_about_a_decided_day_is_refused(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("DRIFTLINE_TEMPORAL_ADDRESS", "127.0.0.1:1")
    engine = connection.connect(postgres_url)
    with engine.begin() as conn:
        made = CadenceDecision(TODAY, "none", ("nothing moved",), left=60.0)
        cadence.add(conn, "default", made, None, Cadence(), world.RUN)
    engine.dispose()

    days = ("--from", f"{LATER}", "--to", f"{LATER}")
    said = asked("override", "none", *days, "--reason", "a sale", "--as", "ana", "--json")
    assert (said["action"], said["first"], said["by"], said["known_by"]) == ("none", f"{LATER}", "ana", "claimed")
    assert f"{LATER} to {LATER}: rag_refresh" in asked("override", "rag_refresh", *days, "--reason", "it is over")

    status = asked("status", "--json", "--set", "cadence.budget=90")
    assert [(day["day"], day["reasons"]) for day in status["days"]] == [(f"{TODAY}", ["nothing moved"])]
    assert [word["action"] for word in status["overrides"]] == ["rag_refresh", "none"]
    assert status["left"] == 90
    shown = asked("status")
    assert "nothing moved" in shown
    assert "no limit" in shown

    assert "fine_tune" in asked("override", "everything", "--reason", "why", code=2)
    late = CliRunner().invoke(cli.app, ["cadence", "override", "none", "--from", f"{TODAY}", "--reason", "too late"])
    assert late.exit_code
    assert "was decided about already" in f"{late.output}{late.exception}"
    assert CliRunner().invoke(cli.app, ["cadence", "override", "none", "--reason", " "]).exit_code

    assert "The cadence acted on 0 of 1 days." in asked("report")
    assert "nothing moved" in (tmp_path / "updates.html").read_text()


@pytest.mark.parametrize(("rule", "left"), [(1, 90), (2, 180)])
def test_what_is_left_is_what_the_rule_of_the_newest_day_has_saved(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: Rule, left: float
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("DRIFTLINE_TEMPORAL_ADDRESS", "127.0.0.1:1")
    engine = connection.connect(postgres_url)
    with engine.begin() as conn:
        long_ago = CadenceDecision(TODAY - timedelta(days=100), "none", ("nothing moved",))
        cadence.add(conn, "default", long_ago, None, Cadence(), world.RUN, rule)
    engine.dispose()
    assert asked("status", "--json", "--set", "cadence.budget=90")["left"] == left
