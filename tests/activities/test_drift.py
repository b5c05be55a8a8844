"""Lists are listed once, kept under the hash of their content, and compared; the measurement names what it was computed from."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from temporalio.testing import ActivityEnvironment

from driftline.activities.artifacts import hash_folder
from driftline.activities.drift import CROWDS, DriftActivities, read_sampled
from driftline.activities.resources import Resources
from driftline.contracts import ListSuccessors, MeasureDrift, Measures, MeasureStaleness, Sequences, SuccessorsRef, Window
from driftline.db import clusters as db_clusters
from driftline.db import connection as db_connection
from driftline.db import measurements as db_measurements
from driftline.interests.metrics import RANKINGS, drift
from driftline.settings import Settings
from driftline.sources.halves import sampled_successors
from tests.db import world
from tests.sources.logs import START, Event, write_log

DAY = timedelta(days=1)
MEASURES = Measures(lags=(1, 2, 6), top_k=2, min_support=2, stale_days=(1, 2, 9), stale_top_k=(1, 2), window_days=1)


class Steps:
    """The activities, and a log of five days that 60 users fill; nobody comes on the fourth."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine = db_connection.connect(url)
        self.resources = Resources(self.engine, folder / "home")
        self.activities = DriftActivities(self.resources)
        rng = random.Random(0)
        events = [
            Event(f"u{user}", f"item-{rng.randrange(6)}", 1440 * day + 10 * step)
            for day in (0, 1, 2, 4)
            for user in range(60)
            for step in range(12)
        ]
        source = write_log(folder / "events.parquet", events)
        self.resources.allowed.add(Settings(source=source))
        with self.engine.begin() as connection:
            self.cluster_set = world.add_clusters(connection, [f"c{n}" for n in range(6)])
            self.assignment = db_clusters.items(connection, self.cluster_set)
        self.about = ListSuccessors(source, Sequences("adjacent"), self.cluster_set, Window(START, START + DAY), 2)

    def window(self, start: datetime) -> ListSuccessors:
        return ListSuccessors(self.about.source, self.about.sequences, self.cluster_set, Window(start, start + DAY), 2)

    def run(self, activity: Any, request: Any) -> Any:
        return ActivityEnvironment().run(activity, request)

    def listed(self, day: int) -> SuccessorsRef:
        found: SuccessorsRef = self.run(self.activities.list_successors, self.window(START + day * DAY))
        return found


@pytest.fixture
def steps(postgres_url: str, tmp_path: Path) -> Steps:
    return Steps(postgres_url, tmp_path)


def test_what_is_listed_is_read_back_and_found_again(steps: Steps) -> None:
    ref = steps.listed(0)
    assert ref == steps.listed(0)
    folder = steps.resources.artifacts.find(ref.uri, ref.hash)
    assert hash_folder(folder) == ref.hash

    written = sampled_successors(steps.about.source, steps.about.sequences, ref.window, steps.assignment, 2, 6)
    read = read_sampled(ref, folder)
    assert (ref.users, ref.triples) == (read.users, read.triples) == (60, written.triples)
    samples = [written.whole, *(half for halves in written.halves for half in halves)]
    again = [read.whole, *(half for halves in read.halves for half in halves)]
    for one, other in zip(samples, again, strict=True):
        assert np.array_equal(one.support, other.support)
        assert all(np.array_equal(one.top[ranking], other.top[ranking]) for ranking in RANKINGS)
    assert all(np.array_equal(written.unevenness[ranking], read.unevenness[ranking]) for ranking in RANKINGS)
    assert written.crowds
    assert read.crowds
    assert written.crowds.n.sum() == written.triples
    assert all(np.array_equal(getattr(written.crowds, name), getattr(read.crowds, name)) for name in CROWDS)


def test_lists_of_an_earlier_release_are_compared_without_their_sixteenths(steps: Steps) -> None:
    lists = [steps.listed(day) for day in (0, 1)]
    windows = [read_sampled(ref, steps.resources.artifacts.find(ref.uri, ref.hash)) for ref in lists]
    now = drift(windows, 6, [1], 2, 2).curves[0].lags[0]
    before = drift([windows[0], replace(windows[1], crowds=None)], 6, [1], 2, 2).curves[0].lags[0]

    assert now.moved
    assert before == replace(now, moved=None)


def test_drift_is_stored_with_what_it_was_computed_from(steps: Steps) -> None:
    lists = tuple(steps.listed(day) for day in range(5))
    ref = steps.run(
        steps.activities.measure_drift, MeasureDrift(steps.cluster_set, lists, steps.window(START + 4 * DAY), MEASURES, world.RUN)
    )
    with steps.engine.connect() as connection:
        stored = db_measurements.get(connection, ref.version)

    assert ref.missing == stored.result.missing == ("lag 6: not enough data: n = 5 windows",)
    assert [facts.users for facts in stored.result.windows] == [60, 60, 60, 0, 60]
    assert [[point.lag for point in curve.lags] for curve in stored.result.curves] == [[1, 2]] * 2
    assert all(point.drift.n == 30 and not point.drift.differs for curve in stored.result.curves for point in curve.lags)
    assert [window["successors"] for window in stored.inputs["windows"]] == [found.hash for found in lists]
    assert stored.inputs["measures"] == {
        "lags": [1, 2, 6],
        "window_days": 1,
        "windows": 25,
        "top_k": 2,
        "drift_margin": 0.05,
        "min_support": 2,
    }
    assert (stored.inputs["predicate"], stored.inputs["dedup"]) == ("liked", "adjacent")
    assert "setup" not in stored.inputs["source"]


def test_staleness_counts_days_and_says_which_the_log_does_not_reach(steps: Steps) -> None:
    request = MeasureStaleness(
        steps.cluster_set, steps.listed(0), (steps.listed(1), steps.listed(2)), steps.about, MEASURES, world.RUN
    )
    ref = steps.run(steps.activities.measure_staleness, request)
    with steps.engine.connect() as connection:
        stored = db_measurements.get(connection, ref.version)

    assert ref.missing == ("9 days later: not enough data: n = 0, the log ends before",)
    assert [(point.days, point.top_k) for point in stored.result.points] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (stored.result.retrieved_at, stored.result.window_days, stored.result.pairs) == (START + DAY, 1, 30)
    assert all(0 < point.same_set.value < 1 for point in stored.result.points)
    assert steps.run(steps.activities.measure_staleness, request) == ref  # the same measurement of the same things
