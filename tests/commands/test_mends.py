"""What is wrong with a file, a folder or a setting is one line that names it and says what mends it."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import ROOT, Call, Process
from tests.end_to_end.commands import Done


def lines(done: Done, code: int) -> str:
    assert done.code == code, done.errors
    assert done.errors.count("\n") == 1, done.errors
    assert "Traceback" not in done.errors
    return done.errors


def test_a_settings_file_that_is_none(driftline: Process) -> None:
    Path("driftline.toml").mkdir()
    assert "driftline.toml is no file: rename it, or remove it" in lines(driftline("status"), 2)
    Path("driftline.toml").rmdir()
    Path("driftline.toml").symlink_to("nowhere")
    assert "driftline.toml is no file" in lines(driftline("status"), 2)


def test_a_settings_file_of_a_home_that_is_none(driftline: Process) -> None:
    Path("home/driftline.toml").mkdir(parents=True)
    assert "home/driftline.toml is no file" in lines(driftline("status", DRIFTLINE_HOME="home"), 2)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_mark_at_its_beginning_is_no_mistake(call: Call, mark: bytes) -> None:
    Path("driftline.toml").write_bytes(mark + b'channel = "blue"\n')
    assert call("down").exit_code == 0
    Path("driftline.toml").write_bytes(mark + b"channel = blue\n")
    done = call("down")
    assert done.exit_code == 2
    assert "driftline.toml: Invalid value (at line 1, column 11)" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_settings_file_that_may_not_be_read(driftline: Process) -> None:
    Path("driftline.toml").touch(0)
    assert "driftline.toml cannot be read (Permission denied): let this user read it" in lines(driftline("status"), 2)


@pytest.mark.parametrize("content", ["{", "[]", '{"pony": 1}', '{"postgres": 1, "temporal": null, "worker": null}', "\0"])
def test_a_damaged_state(driftline: Process, content: str) -> None:
    Path("home").mkdir()
    Path("home/state.json").write_text(content)
    for command in ("status", "lookup"):
        said = lines(driftline(command, *["0", "1"] * (command == "lookup"), DRIFTLINE_HOME="home"), 1)
        assert "home/state.json is damaged" in said
        assert "remove it, then `driftline up`" in said


def test_a_home_that_is_no_folder_or_cannot_be_made(driftline: Process) -> None:
    Path("home").touch()
    for command in ("status", "up"):
        assert "'home' is no folder: name another" in lines(driftline(command, DRIFTLINE_HOME="home"), 2)
    assert "/proc/driftline: No such file or directory: check the path" in lines(
        driftline("up", DRIFTLINE_HOME="/proc/driftline"), 1
    )


def test_a_full_disk(tmp_path: Path) -> None:
    """As far as a limit of the kernel's on the size of files resembles one."""
    command = [sys.executable, str(ROOT / "cli.py"), "up", "--no-worker"]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    env = os.environ | {"DRIFTLINE_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=env, preexec_fn=limited, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: Postgres' data cannot be made in ")
    assert done.stderr.endswith("look at the disk and at its limits, then `driftline up`\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[("drain", "-PT5S"), ("channel", ""), ("channel", "a\x1b[2J"), ("metrics_port", "99999999"), ("metrics_host", "")],
        *[("clusters.fan_out", "[100000,100000]"), ("clusters.seed", "-1"), ("training.seed", "9" * 30), ("home", ".")],
        *[("training.learning_rate", "inf"), ("schedule.catchup", "-PT1H"), ("gates.expire_after", "P9999999D")],
        *[("gates.reviewers", '[""]'), ("temporal_namespace", ""), ("measures.temperature", "inf")],
    ],
)
def test_a_setting_without_sense_is_named(call: Call, setting: str, value: str) -> None:
    done = call("ingest", "--set", f"{setting}={value}")
    assert done.exit_code == 2
    said = done.stderr.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"setting {setting.split('.fan_out')[0]}")
    assert "\x1b" not in said[0]


def test_where_it_was_set_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("driftline.toml").write_text("[training]\nsteps = 0\n")
    done = call("ingest")
    assert (done.exit_code, "setting training.steps: " in done.stderr) == (2, True)
    assert done.stderr.endswith(" (driftline.toml)\n")
    Path("driftline.toml").unlink()
    monkeypatch.setenv("DRIFTLINE_TRAINING__STEPS", "0")
    assert call("ingest").stderr.endswith(" (DRIFTLINE_TRAINING__STEPS)\n")


def test_a_worker_says_it_in_one_line_too() -> None:
    env = os.environ | {"DRIFTLINE_DRAIN": "-PT5S"}
    command = [sys.executable, "-m", "driftline.worker", "--role", "db"]
    done = subprocess.run(command, env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert len(said) == 1
    assert said[0].startswith("setting drain: ")
    assert said[0].endswith(" (DRIFTLINE_DRAIN)")
