"""An experiment on a real Temporal and a real Postgres, from its start to a verdict on what it ships."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.activities.experiments import ExperimentActivities
from driftline.activities.publication import PublicationActivities
from driftline.activities.resources import Resources
from driftline.activities.reviews import ReviewActivities
from driftline.contracts import BadInput, Experiment, Metric
from driftline.db import channels as db_channels
from driftline.operations import channels, experiments, reviews, runs, verdicts
from driftline.operations.context import Context
from driftline.settings import Serving, Settings
from tests.db import world
from tests.workflows.conftest import running
from tests.workflows.steps import Steps
from tests.workflows.test_review import waiting

WEIGHTS = {"control": 0.5, "treatment": 0.5}
DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LOG = f"""
SELECT u AS user, TIMESTAMP '{TODAY - 6 * DAY:%Y-%m-%d}' + INTERVAL (d) DAY AS ts,
    CASE WHEN u % 2 = 0 THEN 'control' ELSE 'treatment' END AS arm,
    (hash(u, d) // 1000) % 4 + CASE WHEN d > 2 THEN u % 2 ELSE 0 END AS liked
FROM range(600) AS p(u), range(6) AS s(d)
"""


class Lab:
    """Two published tables, an experiment that began three days ago, and workers for it."""

    def __init__(self, environment: WorkflowEnvironment, url: str, folder: Path) -> None:
        self.environment, self.folder = environment, folder
        settings = Settings(
            postgres_url=url,
            temporal_address=environment.client.service_client.config.target_host,
            home=folder,
            serving=Serving(channels=WEIGHTS),
            experiment=Experiment(
                exposures=LOG, arm="arm", metrics={"liked": Metric("liked")}, days_before=3, delay=timedelta(0), days=14
            ),
        )
        self.context = Context(settings)
        with self.context.engine.begin() as connection:
            self.tables = [world.add_good_table(connection, day=day) for day in range(2)]
            for table, channel in zip(self.tables, ("default", "treatment"), strict=True):
                db_channels.publish(connection, table, channel, "test")

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        resources = Resources(self.context.engine, self.folder)
        acts, steps = ReviewActivities(resources), ExperimentActivities(resources)
        real: list[Any] = [acts.open_review, acts.record_verdict, acts.expire_review, acts.closed_review, acts.supersede]
        real += [steps.register_experiment, steps.measure_experiment, steps.end_experiment, steps.find_shipped]
        async with running(self.environment, Steps(real=[*real, PublicationActivities(resources).publish])):
            yield

    def name(self) -> str:
        return f"rag-{self.folder.name}"

    async def started(self) -> str:
        asked = experiments.design(self.context, self.name(), TODAY - 3 * DAY)
        await experiments.start(self.context, asked)
        while not any(state.measured for state in experiments.known(self.context)):
            await asyncio.sleep(0.1)
        return asked.name


@pytest.fixture
def lab(dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(dev_server, postgres_url, tmp_path)
    yield made
    made.context.engine.dispose()


async def test_what_was_better_is_shipped_by_a_verdict(lab: Lab) -> None:
    async with lab.worker():
        name = await lab.started()
        with pytest.raises(BadInput, match="there is an experiment"):
            await experiments.start(lab.context, experiments.design(lab.context, name))
        state = experiments.get(lab.context, name)
        assert state.measured is not None
        assert (state.measured.days, state.measured.result.metrics[0].reading) == (3, "better")
        async with asyncio.timeout(60):  # Postgres has the measurement before its run hears so
            while (status := await experiments.run_status(lab.context, name)) is None or status.next_at is None:
                await asyncio.sleep(0.1)
        assert (status.measured, status.next_at) == (3, TODAY + DAY)
        moved = Context(lab.context.settings.model_copy(update={"serving": Serving(channels={**WEIGHTS, "default": 1.0})}))
        assert "was {'control': 0.5, 'treatment': 0.5} at its start" in experiments.get(moved, name).changed

        assert await experiments.stop(lab.context, name, "ana", "long enough")
        assert not await experiments.stop(lab.context, name, "ben", "again")
        with pytest.raises(BadInput, match="has no channel 'other'"):
            await experiments.ship(lab.context, name, "other")
        handle = await experiments.ship(lab.context, name, "treatment")
        with pytest.raises(BadInput, match="waits already"):
            await experiments.ship(lab.context, name, "treatment")
        await waiting(handle)
        waits = reviews.waiting(lab.context)
        assert [(review.candidate, review.channel, review.failed_gates) for review in waits] == [(lab.tables[1], "default", [])]
        assert channels.served(lab.context)[0].version == lab.tables[0], "nothing is published before the verdict"
        assert (await verdicts.submit(lab.context, waits[0], "approve", "ada", "it pays")).accepted
        assert (await runs.result(handle)).outcome == "published"
    served = {one.channel: (one.version, one.actor) for one in channels.served(lab.context)}
    assert served["default"] == (lab.tables[1], "ada")
    recorded = experiments.get(lab.context, name).recorded
    assert (recorded.outcome, recorded.actor, recorded.reason) == ("stopped", "ana", "long enough")


async def test_what_got_worse_is_a_failed_gate_of_its_review(lab: Lab) -> None:
    worse = replace(lab.context.settings.experiment, metrics={"disliked": Metric("liked", good="down", guardrail=True)})
    lab.context = Context(lab.context.settings.model_copy(update={"experiment": worse}))
    async with lab.worker():
        name = await lab.started()
        await experiments.stop(lab.context, name, "ana", "enough")
        handle = await experiments.ship(lab.context, name, "treatment")
        await waiting(handle)
        waits = reviews.waiting(lab.context)
        assert waits[0].failed_gates == ["experiment"]
        assert waits[0].evidence["reasons"]["experiment"] == f"experiment {name}: disliked got worse (a guardrail)"
        assert (await verdicts.submit(lab.context, waits[0], "abort", "ada", "too dear")).accepted
        assert (await runs.result(handle)).outcome == "aborted"
    assert {one.channel: one.version for one in channels.served(lab.context)}["default"] == lab.tables[0]


def test_what_it_could_find_is_known_before_the_start(lab: Lab) -> None:
    found = experiments.detectable(lab.context, experiments.design(lab.context, "plan", TODAY - 3 * DAY))["liked"]
    assert found.users == 600
    assert found.once is not None
    assert found.always is not None
    assert 0.05 < found.once < found.always < 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"treatment": "control"}, "are both 'control'"),
        ({"treatment": "other"}, "channel 'other' has no weight: set serving.channels"),
        ({"metrics": {}}, "experiment.metrics is empty"),
    ],
)
def test_settings_that_describe_no_experiment_are_named(lab: Lab, change: dict[str, Any], said: str) -> None:
    asked = replace(lab.context.settings.experiment, **change)
    with pytest.raises(BadInput, match=said):
        experiments.design(Context(lab.context.settings.model_copy(update={"experiment": asked})), "x")
