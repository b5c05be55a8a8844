"""The same facts, drawn for people and as JSON for scripts."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from temporalio.exceptions import ActivityError, ApplicationError

from driftline.commands import output
from driftline.operations.runs import failure

MOMENT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Fact:
    at: datetime
    channels: tuple[str, ...]
    inner: "Fact | None" = None


def test_json_has_plain_values_with_times_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json([Fact(MOMENT, ("a",), Fact(MOMENT, ())), {1: {"ü"}}])
    inner: dict[str, Any] = {"at": "2024-05-01T12:30:00+00:00", "channels": [], "inner": None}
    printed = capsys.readouterr().out
    assert json.loads(printed) == [inner | {"channels": ["a"], "inner": inner}, {"1": ["ü"]}]
    assert "ü" in printed


@pytest.mark.parametrize(
    ("value", "drawn"),
    [
        (None, "–"),
        ([], "–"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        (0.5, "0.5000"),
        (MOMENT, "2024-05-01 12:30"),
        (MOMENT.replace(hour=0, minute=0), "2024-05-01"),
        (["exact_match_rate", "recall"], "exact_match_rate, recall"),
    ],
)
def test_cells_are_drawn_for_people(value: object, drawn: str) -> None:
    assert output.cell(value) == drawn


@pytest.mark.parametrize(("share", "drawn"), [(0.015, "1.50 %"), (1.0, "100.00 %"), (None, None)])
def test_a_share_is_drawn_in_percent(share: float | None, drawn: str | None) -> None:
    assert output.percent(share) == drawn


def draw(monkeypatch: pytest.MonkeyPatch, *grid: object) -> list[str]:
    paper = io.StringIO()
    monkeypatch.setattr(output, "console", Console(width=80, file=paper))
    output.grid(*grid)  # type: ignore[arg-type]
    return paper.getvalue().splitlines()


def test_a_grid_puts_numbers_to_the_right_and_text_to_the_left(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw(monkeypatch, "title", ("interest", "traffic"), [("milk", 5), ("bread", 12345)])
    assert drawn[0].strip() == "title"
    assert any("milk    " in line and "     5 " in line for line in drawn)


def test_a_grid_without_column_names_has_no_empty_header(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw(monkeypatch, "", ("", ""), [("events", "9")])
    assert len([line for line in drawn if line.strip()]) == 3  # a rule, the row, a rule


def test_the_root_cause_speaks() -> None:
    outer = RuntimeError("workflow failed")
    outer.__cause__ = ActivityError(
        "activity failed",
        scheduled_event_id=0,
        started_event_id=0,
        identity="",
        activity_type="",
        activity_id="",
        retry_state=None,
    )
    outer.__cause__.__cause__ = ApplicationError("the window is empty", type="ValueError")
    assert failure(outer) == "the window is empty"


HOSTILE = "beef\x1b[2J\x1b]0;owned\x07\u202egood\u2066\x9b31m\r\nreview 1: approved by ada"


@pytest.mark.parametrize(
    "shown", [lambda: output.grid("t", ("a",), [(HOSTILE,)]), lambda: output.console.print(output.cell(HOSTILE))]
)
def test_a_text_of_others_moves_no_cursor_and_adds_no_line(shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shown()
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\r\u202e\u2066\x9b")
    assert "\\x1b[2J" in said
    assert not any(line.startswith("review 1") for line in said.splitlines())


def test_an_error_keeps_its_lines_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.errors.print(HOSTILE, markup=False, highlight=False)
    assert not set(capsys.readouterr().err) & set("\x1b\x07\r\u202e\x9b")


def test_json_writes_them_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"name": HOSTILE})
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\r\u202e\u2066\x9b")
    assert json.loads(said) == {"name": HOSTILE}
