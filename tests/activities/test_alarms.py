"""What an experiment calls people for before anybody looks: a guardrail that got worse, a split that is wrong."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from driftline.contracts import Notification, Notify, RunIds
from driftline.db import experiments as db_experiments
from driftline.db.connection import connect
from driftline.interests.experiments.result import Result
from driftline.report import watch
from tests.report import experiment_examples

OLD = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    own = connect(postgres_url)
    yield own
    own.dispose()


def measured(connection: Connection, result: Result) -> None:
    run = RunIds("experiment-rag-2026-03", "run")
    db_experiments.register(connection, experiment_examples.RECORDED.design, run)
    db_experiments.add(connection, experiment_examples.RECORDED.name, result, run)


def alarms(engine: Engine, since: datetime = OLD) -> list[Notification]:
    with engine.begin() as connection:
        return watch.overdue(connection, Notify(), datetime.now(UTC), since)


def test_a_guardrail_that_got_worse_is_told_once_and_not_after_somebody_has_stopped_the_experiment(engine: Engine) -> None:
    for days in (2, 3):
        with engine.begin() as connection:
            measured(connection, replace(experiment_examples.RESULT, days=days))
        (told,) = alarms(engine)
        assert (told.event, told.key) == ("guardrail_worse", "guardrail_worse:rag-2026-03:complaints")
        assert told.why.startswith("The guardrail complaints got worse in treatment, with all 2 guardrails tested together")
    assert not alarms(engine, since=datetime.now(UTC) + timedelta(hours=1)), "measured before that"
    with engine.begin() as connection:
        db_experiments.end(connection, "rag-2026-03", "stopped", "ana", "it harms")
    assert not alarms(engine)


def test_a_wrong_split_is_told_and_nothing_else_of_that_experiment(engine: Engine) -> None:
    wrong = replace(experiment_examples.RESULT, mismatch=True, mismatch_p=1e-9, metrics=(), users={"control": 9, "treatment": 90})
    with engine.begin() as connection:
        measured(connection, wrong)
    (told,) = alarms(engine)
    assert (told.event, told.experiment) == ("sample_ratio_mismatch", "rag-2026-03")
    assert "No result is shown" in told.why
    with engine.begin() as connection:
        measured(connection, replace(experiment_examples.RESULT, metrics=experiment_examples.METRICS[:1]))
    assert not alarms(engine), "the newest measurement is in order"
