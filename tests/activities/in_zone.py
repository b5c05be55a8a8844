"""What a process comes to in the time zone that it was started in: `python -m tests.activities.in_zone URL FOLDER`."""

import csv
import hashlib
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from driftline.activities.publication import PublicationActivities
from driftline.contracts import Publish, Window
from driftline.db import channels as db_channels
from driftline.db import counts as db_counts
from driftline.db import measurements as db_measurements
from driftline.db import tables as db_tables
from driftline.operations import schedules
from driftline.settings import Settings
from tests.activities.chain import RUN, TEST, Chain, run
from tests.end_to_end.shop import NAMES

NEW_YORK = ZoneInfo("America/New_York")
CHANGES = (datetime(2024, 3, 10, tzinfo=UTC), datetime(2024, 11, 3, tzinfo=UTC))
"""The days in which New York's clocks go forward, and back."""


def write_log(path: Path, zone: ZoneInfo | None) -> None:
    """Every half hour of three days around each change: as New York's servers write it, or in UTC without saying so."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item", "ts", "quantity"))
        for change in CHANGES:
            for number in range(144):
                at = change - timedelta(days=1) + timedelta(minutes=30 * number)
                said = at.astimezone(zone).isoformat() if zone else f"{at:%Y-%m-%d %H:%M:%S}"
                writer.writerow((f"u{number % 5}", f"{NAMES[number * number % 8]}-0", said, 1))


def come_to(url: str, folder: Path) -> dict[str, Any]:
    """Windows, counts, a table, its measurement, its publication and the schedules, without what is the clock's."""
    chain, found = Chain(url, folder), dict[str, Any]()
    table = chain.stored(nominal=TEST.end)
    judged = chain.evaluated(table.version)
    published = run(PublicationActivities(chain.resources).publish, Publish(table.version, "default", RUN))
    for name, zone in (("local", NEW_YORK), ("utc", None)):
        write_log(folder / f"{name}.csv", zone)
        chain.source = replace(chain.source, events=str(folder / f"{name}.csv"))
        chain.resources.allowed.add(Settings(source=chain.source))
        for change in CHANGES:
            counted = chain.counted(Window(change, change + timedelta(days=1)))
            with chain.engine.connect() as connection:
                about = db_counts.describe(connection, counted.version)
                rows = db_counts.read(connection, counted.version).to_pylist()
            found[f"{name} {change:%m-%d}"] = [about.events, about.users, str(about.window.start), str(about.window.end), rows]
    with chain.engine.connect() as connection:
        version = db_tables.get(connection, table.version)
        answers = str(db_tables.answers(connection, table.version).to_pylist())
        quality = db_measurements.get(connection, judged.measurement or 0).result
        (move,) = db_channels.history(connection)
    chain.engine.dispose()
    found["table"] = [
        str(version.nominal),
        str(version.window_start),
        str(version.window_end),
        hashlib.md5(answers.encode()).hexdigest(),
    ]
    found["judged"] = [repr(judged), hashlib.md5(repr(quality).encode()).hexdigest()]
    found["published"] = [published.outcome, str(move.nominal)]
    found["schedules"] = [str(schedule.spec.time_zone_name) for schedule in schedules.declared(Settings()).values()]
    return found


if __name__ == "__main__":
    print(json.dumps(come_to(sys.argv[1], Path(sys.argv[2]))))
