"""`driftline doctor` in a folder where nothing was started: what is wrong, and the line that mends it."""

import json
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.operations import doctor
from driftline.settings import Settings
from tests.commands.conftest import Call

CONFIG = '[source]\nevents = "log.parquet"\nitems = "items.csv"\n[clusters]\nfan_out = [4]\n'


def write_shop(days: int = 150) -> None:
    times = [datetime(2024, 1, 1) + timedelta(days=n) for n in range(days)]
    log = {"user": [f"u{n % 120}" for n in range(days)], "item": [f"{n % 6:03}" for n in range(days)], "ts": times}
    pq.write_table(pa.table(log), "log.parquet")
    Path("items.csv").write_text("item,text\n" + "".join(f"{n:03},Text {n}\n" for n in range(6)))


def levels(found: dict[str, Any]) -> dict[str, str]:
    return {check["about"]: check["level"] for check in found["checks"]}


def check_up(call: Call, *words: str) -> tuple[int, dict[str, Any]]:
    result = call("doctor", "--json", *words)
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_log_that_is_well(call: Call, mark: str) -> None:
    """Settings that Notepad saved are settings."""
    write_shop()
    Path("driftline.toml").write_bytes(CONFIG.encode(mark))
    code, found = check_up(call)
    assert (code, found["healthy"]) == (0, True)
    assert found["profile"]["events"] == 150
    checks = levels(found)
    assert {checks[name] for name in ("settings", "source.events", "fine_tune", "rag_refresh", "postgres_url")} == {"ok"}
    assert checks["source.item"] == "warning"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: file.mkdir(), "driftline.toml is no file"),
        (lambda file: file.symlink_to("gone.toml"), "driftline.toml is no file"),
        (lambda file: file.write_bytes(b"[source]\nevents = 'b\xfccher.csv'"), "driftline.toml"),
        (lambda file: file.write_text("[source\n"), "driftline.toml"),
        (lambda file: file.write_text("[source]\nevents = 1\nevents = 2\n"), "driftline.toml"),
        (lambda file: file.write_text("source = 3\n"), "source"),
        (lambda file: file.write_text("[source]\nevent = 'x'\n"), "source.event"),
    ],
)
def test_settings_that_cannot_be_read(call: Call, make: Callable[[Path], object], words: str) -> None:
    make(Path("driftline.toml"))
    result = call("doctor")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("change", "about", "mend"),
    [
        ({"source.events": "none/*.parquet"}, "source", "driftline.toml"),
        ({"source.user": "usr"}, "source", "driftline.toml"),
        ({"clusters.fan_out": "[40]"}, "clusters.fan_out", "lower clusters.fan_out"),
        ({"training.base_model": "./no-model"}, "training.base_model", "hub name"),
        ({"postgres_url": "postgresql://me:secret@localhost:1/x"}, "postgres_url", "check postgres_url"),
        ({"postgres_url": "me:secret@localhost"}, "postgres_url", "write postgresql://USER@HOST:5432/NAME"),
        ({"home": "/proc/driftline"}, "home", "set home, or DRIFTLINE_HOME"),
        ({"source.setup": "ATTACH 'nowhere/x.duckdb' AS x (READ_ONLY)"}, "source", "driftline.toml"),
        ({"temporal_address": "localhost:1"}, "temporal_address", "check temporal_address"),
        ({"fine_tune.days": "30", "fine_tune.test_days": "400"}, "fine_tune", "lower fine_tune.days"),
    ],
)
def test_what_is_wrong_and_what_mends_it(call: Call, change: dict[str, str], about: str, mend: str) -> None:
    write_shop()
    Path("driftline.toml").write_text(CONFIG)
    code, found = check_up(call, *(word for name, value in change.items() for word in ("--set", f"{name}={value}")))
    assert (code, found["healthy"]) == (1, False)
    (check,) = [one for one in found["checks"] if one["level"] == "error"]
    assert check["about"] == about
    assert mend in check["mend"]
    assert "secret" not in json.dumps(found["checks"])


def test_settings_that_are_no_toml_are_named(call: Call) -> None:
    Path("driftline.toml").write_text("[source\n")
    result = call("doctor")
    assert result.exit_code == 2
    assert "driftline.toml" in result.stderr


def test_a_log_that_takes_too_long_is_left_to_ingest() -> None:
    def slow(_: object) -> Any:
        import time

        time.sleep(0.5)

    before = set(threading.enumerate())
    found, (check,) = doctor._source(Settings(), slow, 0.01)
    assert (found, check.level, check.mend) == (None, "warning", "driftline ingest")
    assert all(one.daemon for one in set(threading.enumerate()) - before)


def test_log_and_catalogue_are_mended_at_once(call: Call) -> None:
    Path("driftline.toml").write_text(CONFIG)
    code, found = check_up(call)
    assert code == 1
    assert [check["about"] for check in found["checks"] if check["level"] == "error"][:2] == ["source", "source.items"]


def test_an_address_that_accepts_and_says_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANSWER", 4)
    write_shop()
    Path("driftline.toml").write_text(CONFIG)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, found = check_up(call, "--set", f"postgres_url=postgresql://me@{address}/x", "--set", f"temporal_address={address}")
    assert code == 1
    assert [check["about"] for check in found["checks"] if check["level"] == "error"] == ["temporal_address", "postgres_url"]


def test_nothing_is_started_or_written(call: Call) -> None:
    write_shop()
    Path("driftline.toml").write_text(CONFIG)
    before = sorted(Path().rglob("*"))
    call("doctor")
    assert sorted(Path().rglob("*")) == before
