"""A worker's time zone changes nothing, also over the days in which its clocks do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.activities.in_zone import come_to

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_same_windows_counts_and_tables_in_every_zone(make_database: Callable[[], str], tmp_path: Path) -> None:
    zones = ("America/New_York", "Asia/Kathmandu")
    started = []
    for number, zone in enumerate(zones):
        (folder := tmp_path / str(number)).mkdir()
        command = [sys.executable, "-m", "tests.activities.in_zone", make_database(), str(folder)]
        environment = os.environ | {"TZ": zone, "PGTZ": zone}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True))
    (tmp_path / "here").mkdir()
    here = come_to(make_database(), tmp_path / "here")
    for zone, process in zip(zones, started, strict=True):
        out, _ = process.communicate()
        assert (process.returncode, json.loads(out)) == (0, here), zone

    for day in ("03-10", "11-03"):
        events, users, start, end, rows = here[f"utc {day}"]
        assert here[f"local {day}"] == [events, users, start, end, rows], "an instant is the same whoever wrote it down"
        assert (events, users, start) == (48, 5, f"2024-{day} 00:00:00+00:00")
        assert rows
    assert here["published"] == ["published", "2024-03-31 00:00:00+00:00"]
    assert set(here["schedules"]) == {"None"}, "Temporal's calendars are in UTC unless a zone is named"
