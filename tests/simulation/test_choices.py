"""Each thing that the cadence can do is what it does in some simulated situation, and nothing where nothing moves."""

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from bench.backtest import FIRST
from bench.simulation import Drift, People, Simulated, World, simulate
from bench.simulation.log import counts_table
from driftline.contracts import Cadence, Entry, MeasuredDay, Standing
from driftline.interests.cadence import decide
from driftline.interests.cadence_day import day_hits

TURN, WINDOW = 60, 14
CADENCE = Cadence(policy="adaptive", updates=("counts", "rag_refresh", "fine_tune"), budget=1000.0)
COSTS = {"counts": 0.0, "rag_refresh": 300.0, "fine_tune": 900.0}


@pytest.fixture(scope="module")
def turned() -> Simulated:
    """Affinities that are others from day TURN on."""
    return simulate(World(12, 90, Drift("sudden", at=(TURN,)), People(users=1500), seed=11))


def standing(log: Simulated, today: int, table: int, model: int, **more: object) -> Standing:
    """Of a day, with a table and a model of the counts before the days on which they were made."""
    daily, size = log.daily(), log.world.interests

    def counts(day: int):  # type: ignore[no-untyped-def]
        return counts_table(daily[day - WINDOW : day].sum(axis=0))

    measured = []
    for day in range(table, today):
        found = day_hits(counts_table(daily[day]), counts(day), counts(table), counts(model), size)
        measured.append(MeasuredDay(FIRST + timedelta(days=day), **asdict(found), table=table, model=model))
    there = Standing(
        FIRST + timedelta(days=today),
        FIRST + timedelta(days=table),
        FIRST + timedelta(days=model),
        measured=tuple(measured),
        entries=(Entry(FIRST + timedelta(days=table - 20), "none"),),
        costs=COSTS,  # type: ignore[arg-type]
    )
    return replace(there, **more)  # type: ignore[arg-type]


def test_nothing_is_done_where_nothing_has_moved(turned: Simulated) -> None:
    assert decide(standing(turned, TURN, TURN - 7, TURN - 16), CADENCE).action == "none"


def test_a_turn_that_a_young_model_has_not_seen_is_a_rag_refresh(turned: Simulated) -> None:
    found = decide(standing(turned, TURN + 6, TURN - 2, TURN - 4), CADENCE)
    assert found.action == "rag_refresh"
    assert "beyond 2 standard errors" in found.reasons[0]


def test_where_the_budget_is_spent_it_is_a_refresh_of_the_counts(turned: Simulated) -> None:
    spent = (Entry(FIRST + timedelta(days=TURN - 2), "rag_refresh", 2000.0),)
    found = decide(standing(turned, TURN + 6, TURN - 2, TURN - 4, entries=spent), CADENCE)
    assert found.action == "counts"
    assert "The budget does not cover a RAG refresh" in found.reasons[1]


def test_a_turn_that_an_older_model_has_not_seen_is_a_fine_tune(turned: Simulated) -> None:
    found = decide(standing(turned, TURN + 10, TURN + 4, TURN - 6), CADENCE)
    assert found.action == "fine_tune"
    assert "Counts of the days that the model has learned from would have missed" in found.reasons[0]


def test_a_model_that_has_seen_the_turn_is_left_as_it_is(turned: Simulated) -> None:
    seen = TURN + WINDOW
    assert decide(standing(turned, seen + 15, seen + 13, seen), CADENCE).action == "none"
