"""Exit codes are a contract with scripts: 0 done, 1 failed, 2 wrong usage, 3 waiting for review. The rest is tried end to end."""

from pathlib import Path

import pytest

from driftline.commands.output import DONE, FAILED, USAGE, WAITING
from tests.commands.conftest import Call, Process


def test_the_codes_are_those_of_the_help(driftline: Process) -> None:
    assert (DONE, FAILED, USAGE, WAITING) == (0, 1, 2, 3)
    asked = driftline("--help")
    assert asked.code == 0
    assert "0 done, 1 failed, 2 wrong usage, 3 waiting for review" in asked.out


@pytest.mark.parametrize(
    "arguments",
    [
        "ingest --set nonsense",
        "ingest --set training.steps=0",
        "ingest --set training.stepps=1",
        "ingest --set training=1 --set training.steps=2",
        "run fine-tune --at yesterday",
        "run",
        "lookup one two",
        "lookup 1",
        "schedule pause weekly",
        "no-such-command",
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(call: Call, arguments: str) -> None:
    done = call(*arguments.split())
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert done.output.strip()


@pytest.mark.parametrize(("text", "said"), [("[trainin]", "trainin"), ("steps = ", "settings:"), ("drain = 'soon'", "drain")])
def test_a_wrong_settings_file_is_wrong_usage(call: Call, text: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("driftline.toml").write_text(text)
    done = call("tables", "list")
    assert done.exit_code == 2
    assert said in done.output + capfd.readouterr().err


def test_a_half_json_environment_variable_is_wrong_usage(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_CLUSTERS__FAN_OUT", "[8")
    assert call("status").exit_code == 2


def test_wrong_usage_survives_the_way_out_of_the_process(driftline: Process) -> None:
    done = driftline("ingest", "--set", "training.steps=0")
    assert (done.code, done.out) == (2, "")
    assert done.errors == "setting training.steps: Input should be greater than or equal to 1\n"


@pytest.mark.parametrize("arguments", ["lookup 0 1", "review list --json"])
def test_a_command_without_a_stack_fails_with_one_line_that_says_what_to_do(driftline: Process, arguments: str) -> None:
    done = driftline(*arguments.split())
    assert (done.code, done.out) == (1, "")
    assert done.errors.count("\n") == 1
    assert "`driftline up`" in done.errors


def test_what_looks_like_markup_in_a_message_is_printed_as_it_is(driftline: Process) -> None:
    done = driftline("ingest", "--set", "source.events=no[such]file.csv")
    assert done.code == 1
    assert "no[such]file.csv" in done.errors


def test_status_of_nothing_is_an_answer_and_a_failure(driftline: Process, tmp_path: Path) -> None:
    done = driftline("status", "--json")
    assert done.code == 1
    assert '"worker": "stopped"' in done.out
    assert not list(tmp_path.iterdir())  # asking starts and makes nothing


def test_down_of_nothing_is_done(call: Call) -> None:
    assert call("down").exit_code == 0
