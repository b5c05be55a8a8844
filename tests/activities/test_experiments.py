"""An experiment from its files to its record: the effect that is there is found, and a wrong split shows nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from driftline.activities.experiments import ExperimentActivities
from driftline.activities.resources import Resources
from driftline.contracts import (
    BadInput,
    EndExperiment,
    Experiment,
    ExperimentInput,
    ExperimentRef,
    FindShipped,
    MeasureExperiment,
    Metric,
    RegisterExperiment,
    RunIds,
    Verdict,
)
from driftline.db import channels as db_channels
from driftline.db import experiments as db_experiments
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.connection import connect
from driftline.interests.experiments.result import Result
from driftline.settings import Settings
from tests.db import world

START = datetime(2026, 3, 2, tzinfo=UTC)
RUN = RunIds("experiment-rag", "run-1")
METRICS = {
    "satisfied": Metric("satisfied"),
    "satisfaction": Metric("satisfied", per="1.0"),
    "dissatisfied": Metric("dissatisfied", good="down", guardrail=True),
    "left": Metric("gone", good="down", guardrail=True),
}
LOG = """
COPY (
    SELECT u AS user, CASE WHEN u % 2 = 0 THEN 'control' ELSE 'treatment' END AS arm,
        TIMESTAMP '2026-02-16' + INTERVAL (d) DAY + INTERVAL (hash(u, d) % 86400) SECOND AS ts,
        hash(u, d, 1) % 100 < 30 + 20 * (hash(u, 9) % 3) + CASE WHEN d >= 14 AND u % 2 = 1 THEN 12 ELSE 0 END AS satisfied,
        hash(u, d, 2) % 100 < 10 AS dissatisfied,
        hash(u, d, 3) % 100 < CASE WHEN d >= 14 AND u % 2 = 1 THEN 30 ELSE 10 END AS gone
    FROM range({users}) AS p(u), range(19) AS s(d) WHERE {where}
) TO '{file}' (FORMAT parquet)
"""


class World:
    """Two thousand users over fourteen days before and five of an experiment, whose treatment satisfies and drives away."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine = connect(url)
        self.folder = folder
        resources = Resources(self.engine, folder / "home")
        self.steps = ExperimentActivities(resources)
        self.request = ExperimentInput("rag", self.experiment("true"), START, {"control": 1.0, "treatment": 1.0}, "salt")
        self.resources = resources

    def experiment(self, where: str) -> Experiment:
        file = self.folder / f"log-{len(list(self.folder.iterdir()))}.parquet"
        with duckdb.connect() as con:
            con.execute(LOG.format(users=2000, where=where, file=file))
        made = Experiment(exposures=str(file), arm="arm", metrics=METRICS, setup="SET threads = 2")
        Resources(self.engine, self.folder / "home").allowed.add(Settings(experiment=made))
        return made

    def register(self, request: ExperimentInput) -> None:
        ActivityEnvironment().run(self.steps.register_experiment, RegisterExperiment(request, RUN))

    def measure(self, request: ExperimentInput, days: int = 5) -> ExperimentRef:
        found: ExperimentRef = ActivityEnvironment().run(self.steps.measure_experiment, MeasureExperiment(request, days, RUN))
        return found

    def result(self, name: str = "rag") -> Result:
        with self.engine.connect() as conn:
            measured = db_experiments.newest(conn, name)
        assert measured is not None
        return measured.result


@pytest.fixture
def shop(postgres_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(postgres_url, tmp_path)
    made.register(made.request)
    yield made
    made.engine.dispose()


def test_the_effect_that_is_there_is_on_record(shop: World) -> None:
    with shop.engine.begin() as conn:
        table = world.add_good_table(conn)
        db_channels.publish(conn, table, "treatment", "test")
    ref = shop.measure(shop.request)
    assert shop.measure(shop.request) == ref, "the same again is the same version"
    result = shop.result()
    assert (result.days, result.mismatch, dict(result.users)) == (5, False, {"control": 1000, "treatment": 1000})
    found = {metric.name: metric for metric in result.metrics}
    assert {name: metric.reading for name, metric in found.items()} == {
        "satisfied": "better",
        "satisfaction": "better",
        "dissatisfied": "open",
        "left": "worse",
    }
    effect = found["satisfied"].cumulated[-1]
    assert effect.low is not None
    assert effect.high is not None
    assert effect.always_low is not None
    assert effect.low < 0.24 < effect.high  # 12 of 50 in a hundred more
    assert effect.always_low < effect.low
    assert found["satisfied"].reduction > 0.2  # some users are satisfied more often than others, before as after
    assert not any(metric.biased for metric in result.metrics)
    assert [len(metric.daily) for metric in result.metrics] == [5] * 4
    assert result.updates == (), "the table came after the experiment"


def test_a_table_that_changed_below_it_is_marked(shop: World) -> None:
    with shop.engine.begin() as conn:
        table = world.add_good_table(conn)
        db_channels.publish(conn, table, "treatment", "test")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    live = replace(shop.request, name="live", start=today - timedelta(days=1))
    shop.register(live)
    shop.measure(live, 2)
    assert [(update.channel, update.table) for update in shop.result("live").updates] == [("treatment", table)]


def test_a_wrong_split_shows_no_result(shop: World) -> None:
    lost = replace(shop.request, name="lost", experiment=shop.experiment("u % 2 = 0 OR hash(u) % 10 > 1"))
    shop.register(lost)
    assert shop.measure(lost).mismatch
    result = shop.result("lost")
    assert (result.mismatch, result.metrics) == (True, ())
    assert result.mismatch_p < 0.001


def test_arms_that_differed_before_are_said_to(shop: World) -> None:
    odd = Metric("CASE WHEN arm = 'control' THEN 1 ELSE 2 END * (1 + hash(user, ts) % 3)")
    biased = replace(shop.request, name="earlier", experiment=replace(shop.request.experiment, metrics={"odd": odd}))
    shop.resources.allowed.add(Settings(experiment=biased.experiment))
    shop.register(biased)
    shop.measure(biased)
    (metric,) = shop.result("earlier").metrics
    assert metric.biased


def test_a_name_is_used_once_and_what_nobody_named_is_refused(shop: World) -> None:
    shop.register(shop.request)
    with pytest.raises(BadInput, match="there is an experiment 'rag' already"):
        shop.register(replace(shop.request, salt="another"))
    evil = replace(shop.request, experiment=replace(shop.request.experiment, exposures="/etc/passwd"))
    with pytest.raises(BadInput, match="this experiment is refused"):
        shop.measure(evil)


def test_how_it_ended_is_said_once(shop: World) -> None:
    with shop.engine.begin() as conn:
        assert db_experiments.end(conn, "rag", "stopped", "ana", "enough")
    ActivityEnvironment().run(shop.steps.end_experiment, EndExperiment("rag", "completed", "measured for 5 of 5 days"))
    with shop.engine.connect() as conn:
        found = db_experiments.get(conn, "rag")
    assert (found.outcome, found.actor, found.reason) == ("stopped", "ana", "enough")
    assert found.design.experiment.setup == "", "a variable of a password may be in it"
    with shop.engine.begin() as conn, pytest.raises(Exception, match="append-only"):
        conn.execute(text("UPDATE experiment_end SET actor = 'ben'"))


def test_boards_read_every_day_by_sql(shop: World) -> None:
    shop.measure(shop.request, 4)
    shop.measure(shop.request, 5)
    with shop.engine.connect() as conn:
        query = "SELECT scope, count(*), min(day), max(day) FROM measured_experiment WHERE newest AND metric = 'left' GROUP BY 1"
        rows = [tuple(row) for row in conn.execute(text(query + " ORDER BY 1"))]
    last = START + timedelta(days=4)
    assert rows == [("cumulated", 5, START, last), ("daily", 5, START, last)]


def shipped(shop: World) -> Any:
    return ActivityEnvironment().run(shop.steps.find_shipped, FindShipped("rag", "treatment"))


def test_what_would_be_shipped_comes_with_what_speaks_against_it(shop: World) -> None:
    with pytest.raises(BadInput, match="nothing is published on channel 'treatment'"):
        shipped(shop)
    with shop.engine.begin() as conn:
        table = world.add_good_table(conn)
        db_channels.publish(conn, table, "treatment", "test")
    before = shipped(shop)
    assert (before.table, before.kind) == (table, "fine_tune")
    assert before.evaluation.failed_gates == ("experiment",)
    assert before.evaluation.reasons["experiment"] == "experiment rag: nothing was measured yet"
    shop.measure(shop.request)
    assert shipped(shop).evaluation.reasons["experiment"] == "experiment rag: left got worse (a guardrail)"


def test_a_review_of_shipping_takes_nothing_back_where_the_table_is_served_already(shop: World) -> None:
    with shop.engine.begin() as conn:
        table = world.add_good_table(conn)
        db_channels.publish(conn, table, "treatment", "test")
    with shop.engine.begin() as conn:
        world.open_review(conn, table, "ship", "experiment")
        assert db_tables.get(conn, table).approved
    with shop.engine.begin() as conn:
        db_reviews.record_verdict(conn, Verdict("ship", "approve", "ana", "weighed", "login"))
        published = db_channels.publish(conn, table, "default", "ana", review_id="ship")
    assert published.outcome == "published"
    with shop.engine.begin() as conn:
        other = world.add_good_table(conn, day=1)
        world.open_review(conn, other, "new")
        assert not db_tables.get(conn, other).approved, "of a table that nothing serves, an open review is to be waited for"
