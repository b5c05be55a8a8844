"""The lines of docs/pruning.md by which a timer prunes, as they stand there."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.activities.resources import artifacts_of
from driftline.db.connection import connect
from tests.db import world

ROOT = Path(__file__).parent.parent
PRUNING = (ROOT / "docs" / "pruning.md").read_text()
CRON, SYSTEMD = (re.search(rf"^```{kind}\n(.*?)^```$", PRUNING, re.M | re.S)[1] for kind in ("cron", "ini"))  # type: ignore[index]
LONG_AGO = 100 * 86_400
AT_ONCE = 3


@pytest.fixture
def env(dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """Servers of one's own, and `driftline` where the lines have it."""
    program = tmp_path / "srv" / ".venv" / "bin" / "driftline"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "cli.py"} "$@"\n')
    program.chmod(0o755)
    target = dev_server.client.service_client.config.target_host
    servers = {"DRIFTLINE_POSTGRES_URL": postgres_url, "DRIFTLINE_TEMPORAL_ADDRESS": target}
    return os.environ | servers | {"DRIFTLINE_HOME": str(tmp_path / "home")}


def old_artifacts(home: Path, number: int) -> set[Path]:
    artifacts, places = artifacts_of(home, ""), set()
    for n in range(number):
        with artifacts.folder() as folder:
            (folder / "content").write_text(str(n))
            place = artifacts.find(artifacts.store("prompts", folder)[0])
        for path in (*place.rglob("*"), place):
            os.utime(path, (time.time() - LONG_AGO,) * 2)
        places.add(place)
    return places


def start(line: str, folder: Path, env: dict[str, str]) -> "subprocess.Popen[str]":
    command = line.replace("/srv/driftline", str(folder / "srv"))
    return subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder / "srv",
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def test_a_timer_prunes_what_nothing_needs_also_where_the_last_one_still_does(
    env: dict[str, str], postgres_url: str, tmp_path: Path
) -> None:
    home = Path(env["DRIFTLINE_HOME"])
    old = old_artifacts(home, 200)
    engine = connect(postgres_url)
    with engine.begin() as conn:
        served = world.add_good_table(conn)
    engine.dispose()
    (of_cron,) = re.findall(r"^(?:\S+ ){5} (.+)$", CRON, re.M)
    (of_systemd,) = re.findall(r"^ExecStart=(.+)$", SYSTEMD, re.M)
    (folder,) = re.findall(r"^WorkingDirectory=(.+)$", SYSTEMD, re.M)
    assert of_cron.startswith(f"cd {folder} && ")

    running = [start(of_systemd, tmp_path, env) for _ in range(AT_ONCE)]
    ended = [(*process.communicate(), process.returncode) for process in running]
    assert [code for *_, code in ended] == [0] * AT_ONCE, ended
    said = [json.loads(out) for out, *_ in ended]
    assert [[*each] for each in said] == [["before", "open_since", "deleted", "bytes", "rows", "files", "busy"]] * AT_ONCE
    deleted = [file["uri"] for each in said for file in each["files"]]
    assert sorted(deleted) == sorted(place.as_uri() for place in old), "each by one of them"
    assert not any(place.exists() for place in old)
    assert list((home / "artifacts").glob(".new-*")) == []
    with psycopg.connect(postgres_url) as reader:
        assert reader.execute("SELECT kept FROM table_rows WHERE version = %s", [served]).fetchall() == [(True,)]

    (again,) = old_artifacts(home, 1)
    out, errors = start(of_cron, tmp_path, env).communicate()
    assert (out, errors, again.exists()) == ("", "", False)
    assert [file["uri"] for file in json.loads((tmp_path / "srv" / "prune.log").read_text())["files"]] == [again.as_uri()]


def test_without_temporal_nothing_is_deleted_and_it_says_so(env: dict[str, str], tmp_path: Path) -> None:
    (old,) = old_artifacts(Path(env["DRIFTLINE_HOME"]), 1)
    (line,) = re.findall(r"^ExecStart=(.+)$", SYSTEMD, re.M)
    process = start(line, tmp_path, env | {"DRIFTLINE_TEMPORAL_ADDRESS": "127.0.0.1:1"})
    out, errors = process.communicate()
    assert (process.returncode, out, old.exists()) == (1, "", True)
    assert errors.startswith("error: Temporal does not answer at 127.0.0.1:1")
