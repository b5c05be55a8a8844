"""The cadence's two steps on a real Postgres and a simulated log whose interests turn over on a known day."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from bench.simulation import Drift, People, World, simulate
from bench.simulation.log import START
from driftline.activities.cadence import CadenceActivities
from driftline.activities.resources import Resources
from driftline.contracts import (
    AnsweredRef,
    AnswerPairs,
    BadInput,
    Cadence,
    CadenceDecision,
    DecideDay,
    Fitted,
    MeasureDay,
    MeasuredDay,
    Override,
    RagRefreshInput,
    Sequences,
    Source,
    Windows,
)
from driftline.db import cadence as db_cadence
from driftline.db import channels as db_channels
from driftline.db import connection as db_connection
from driftline.db import counts as db_counts
from driftline.db import evaluations as db_evaluations
from driftline.db import tables as db_tables
from driftline.interests.windows import split
from driftline.operations import cadence
from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.sources.counting import count_triples
from tests.activities.chain import run
from tests.db import world

TURN, FIRST, DAYS = 32, 30, 37
CADENCE = Cadence(policy="adaptive", max_days=28)


class Shop:
    """A log of four interests that turn over on day TURN, and a channel that serves counts."""

    def __init__(self, url: str, folder: Path) -> None:
        drift = Drift("sudden", at=(TURN,))
        log = simulate(World(4, DAYS, drift, People(users=600), seed=1))
        item = pa.array([f"item-{cluster}" for cluster in log.cluster])
        pq.write_table(log.events().set_column(1, "item", item), folder / "events.parquet")
        source = Source(events=str(folder / "events.parquet"))
        self.asked = RagRefreshInput(source, Windows(21, 1, 4), sequences=Sequences("adjacent"), answers="counts")
        self.engine: Engine = db_connection.connect(url)
        resources = Resources(self.engine, folder / "home")
        resources.allowed.add(Settings(source=source))
        self.steps = CadenceActivities(resources)
        with self.engine.begin() as connection:
            self.cluster_set = world.add_clusters(connection)

    def refresh(self, day: int, *channels: str) -> int:
        """What a refresh of that nominal day leaves behind: counts, a table that serves."""
        nominal = at(day)
        window = split(nominal, self.asked.windows).history
        items = pa.table({"item": [f"item-{i}" for i in range(4)], "cluster": pa.array(range(4), pa.int32())})
        found = count_triples(self.asked.source, self.asked.sequences, window, items)
        with self.engine.begin() as connection:
            about = {"cluster_set": self.cluster_set, "window": window, "dedup": "adjacent", "predicate": "true"}
            counted = db_counts.add(
                connection,
                **about,  # type: ignore[arg-type]
                counts=found.table,
                events=found.events,
                users=found.users,
                dropped={},
            ).version
            made = AnsweredRef("file:///a", "a", len(world.PAIRS), {"strength": Fitted(10.0)})
            fitted = AnswerPairs("counts", counted, counted, counted)
            asked = replace(world.request(0, counted, kind="rag"), nominal=nominal, answered=made, fitted=fitted)
            asked = replace(asked, model=None, prompts=None, mapping=None, generation=None)
            rows = world.mapping().select(["c1", "c2", "c_next"]).append_column("score", world.scores())
            table = db_tables.add(connection, asked, rows).version
            db_evaluations.add(connection, table, counted, replace(world.evaluation(), exact_match_rate=None))
            for channel in channels:
                db_channels.publish(connection, table, channel, "test")
        return table

    def day(self, number: int, channel: str = "default") -> tuple[MeasuredDay | None, CadenceDecision]:
        asked = replace(self.asked, channel=channel)
        measured = run(self.steps.measure_day, MeasureDay(asked, at(number)))
        return measured, run(self.steps.decide_day, DecideDay(CADENCE, asked, at(number), measured, world.RUN))


def at(day: int) -> datetime:
    return START + timedelta(days=day)


@pytest.fixture
def shop(postgres_url: str, tmp_path: Path) -> Shop:
    return Shop(postgres_url, tmp_path)


def test_it_acts_when_interests_have_turned_over_and_a_backfill_decides_the_same(shop: Shop) -> None:
    shop.refresh(FIRST, "default", "again")
    live = []
    for number in range(FIRST + 1, DAYS + 1):
        live.append(shop.day(number)[1])
        if live[-1].action != "none":
            shop.refresh(number, "default", "again")

    acted = [decision.day for decision in live if decision.action != "none"]
    assert acted, "the turn was missed"
    # On the second day after it, the day of the turn has been seen.
    assert at(TURN).date() < acted[0] <= at(TURN + 3).date()
    assert {decision.action for decision in live} == {"none", "counts"}
    assert [shop.day(number, "again")[1] for number in range(FIRST + 1, DAYS + 1)] == live
    assert [shop.day(number)[1] for number in (DAYS - 1, DAYS)] == live[-2:]

    with shop.engine.connect() as connection:
        record = db_cadence.newest(connection, "default", 100)
    assert [row.day for row in reversed(record)] == [decision.day for decision in live]
    assert record[0].measured == run(shop.steps.measure_day, MeasureDay(shop.asked, at(DAYS)))


def test_what_a_day_says_is_counted_on_that_day_only(shop: Shop) -> None:
    """Fresh and stale are one table on the day that it was made for."""
    table = shop.refresh(FIRST, "default")
    measured, decision = shop.day(FIRST + 2)

    assert measured is not None
    assert (measured.day, measured.table, measured.model, measured.learned) == (at(FIRST + 1).date(), table, None, None)
    assert 200 < measured.triples < 800
    assert measured.fresh > measured.triples / 3
    assert measured.unknown_share == 0
    assert decision.reasons[0].startswith(f"Since {at(FIRST).date()} fresh counts would have hit")


def test_what_is_on_record_is_the_page_of_cost_agility_and_knowledge(shop: Shop, postgres_url: str, tmp_path: Path) -> None:
    shop.refresh(FIRST, "default")
    measured, decision = shop.day(FIRST + 2)
    context = Context(Settings(postgres_url=postgres_url, temporal_address="127.0.0.1:1", home=tmp_path))
    found = cadence.dimensions(context, 10, 10)
    cadence.write(found, tmp_path / "updates.html")

    ((run_of_counts,), (day,)) = found.runs, found.days
    assert (run_of_counts.update, run_of_counts.recall, run_of_counts.cpu_seconds) == ("RAG refresh of counts", 0.4, None)
    assert run_of_counts.delay is not None
    assert (day.day, day.measured, day.reasons) == (at(FIRST + 2), measured, decision.reasons)
    assert decision.reasons[0] in (tmp_path / "updates.html").read_text()
    status = cadence.status(context, 10)
    assert [row.day for row in status.days] == [decision.day]
    assert status.left is None


def test_with_nothing_served_it_starts_and_an_override_holds_it_back(shop: Shop) -> None:
    said = Override("none", at(FIRST).date(), at(FIRST).date(), "Ada", "the log is being repaired")
    with shop.engine.begin() as connection:
        number = db_cadence.say(connection, "default", said)

    assert shop.day(FIRST) == (
        None,
        CadenceDecision(
            at(FIRST).date(), "none", (f"Ada said so for {at(FIRST).date()}: the log is being repaired",), override=number
        ),
    )
    assert shop.day(FIRST + 1)[1].action == "counts"


def test_the_record_is_not_changed_and_a_word_comes_too_late_for_a_decided_day(shop: Shop) -> None:
    shop.day(FIRST)
    said = Override("none", at(FIRST).date(), date(2030, 1, 1), "Ada", "why")
    with shop.engine.begin() as connection, pytest.raises(BadInput, match="was decided about already"):
        db_cadence.say(connection, "default", said)
    for statement in (
        "UPDATE cadence_day SET action = 'none'",
        "DELETE FROM cadence_day",
        "TRUNCATE cadence_override, cadence_day",
    ):
        with shop.engine.begin() as connection, pytest.raises(DatabaseError):
            connection.exec_driver_sql(statement)
