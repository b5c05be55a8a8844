"""What the rest of a budget asks for: as much as uses it up evenly in the loss, not in the days."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest

from driftline.contracts import Cadence, Entry, MeasuredDay, Standing
from driftline.interests.cadence import decide
from driftline.interests.cadence_budget import PLANNED, bank, price, worth

DAY = date(2024, 1, 1)
CADENCE = Cadence(policy="adaptive", updates=("counts",), budget=2.0, max_days=1000)
"""Two refreshes in 30 days."""


def lived(pace: Callable[[int], float], days: int, cadence: Cadence = CADENCE, rule: int = 2) -> list[int]:
    """The days on which it refreshes, where a table of some age loses the sum of the days' paces since it was made."""
    entries, seen, made = [Entry(DAY, "none")], list[MeasuredDay](), [0]
    for number in range(1, days):
        lost = round(sum(pace(day) for day in range(made[-1], number)))
        seen.append(MeasuredDay(DAY + timedelta(days=number - 1), 10_000, lost, 0, lost, table=made[-1]))
        standing = Standing(
            DAY + timedelta(days=number),
            DAY + timedelta(days=made[-1]),
            needs_model=False,
            measured=tuple(day for day in seen if day.table == made[-1]),
            earlier=tuple(day for day in seen if day.table != made[-1]),
            entries=tuple(entries),
            costs={"counts": 1.0},
            rule=rule,  # type: ignore[arg-type]
        )
        found = decide(standing, cadence)
        entries.append(Entry(standing.day, found.action, found.cost))
        if found.action != "none":
            made.append(number)
    return made[1:]


def lost(pace: Callable[[int], float], made: list[int], days: int) -> float:
    """In all: each day what has come together since the newest refresh."""
    ends = [0, *made, days]
    return sum(pace(day) * (end - 1 - day) for begin, end in pairwise(ends) for day in range(begin, end))


def test_where_drift_is_steady_it_refreshes_at_even_distances_and_uses_the_budget_up() -> None:
    made = lived(lambda _: 40, 240)
    gaps = [later - earlier for earlier, later in pairwise(made)]
    assert len(made) == pytest.approx(240 / 15, abs=1)
    assert max(gaps) - min(gaps) <= 3


def test_where_drift_comes_and_goes_less_is_lost_than_by_the_first_rule_and_by_even_distances() -> None:
    """Forty days without, twenty with."""

    def pace(day: int) -> float:
        return 60.0 if day % 60 >= 40 else 0.0

    first, second = lived(pace, 240, rule=1), lived(pace, 240)
    even = [240 * (n + 1) // (len(second) + 1) for n in range(len(second))]
    assert len(second) <= 2 * 240 / 30 + 2, "the budget, and the month that it begins with"
    assert lost(pace, second, 240) < 0.8 * lost(pace, first, 240)
    assert lost(pace, second, 240) < 0.8 * lost(pace, even, 240)


def test_the_first_rule_refreshes_as_soon_as_it_can_pay_and_saves_for_one_month() -> None:
    assert lived(lambda _: 40, 40, rule=1) == [1, 2, 17, 32]
    entries, later = [Entry(DAY, "none")], DAY + timedelta(days=90)
    assert (bank(entries, 2.0, later, 1), bank(entries, 2.0, later, 2)) == (2.0, 2.0 * PLANNED / 30)


def test_a_loss_that_grows_calls_for_more_than_one_that_stays() -> None:
    def of(*lost: int) -> float:
        return worth([MeasuredDay(DAY + timedelta(days=i), 1000, each, 0, each) for i, each in enumerate(lost)])

    assert of(0, 10, 20, 30, 40) == pytest.approx(40 * 5 / 2)
    assert of(20, 20, 20, 20, 20) == pytest.approx(20 * 5 / 2)
    assert of(0, 0, 0, 0, 100) > of(100, 0, 0, 0, 0) == 0


def test_without_a_limit_or_a_cost_there_is_no_price_and_a_dearer_update_has_a_higher_one() -> None:
    seen = tuple(MeasuredDay(DAY + timedelta(days=i), 1000, 20 * i, 0, 20 * i) for i in range(20))
    there = Standing(DAY + timedelta(days=20), DAY, measured=seen, entries=(Entry(DAY, "none"),), costs={"rag_refresh": 1.0})
    limited = replace(CADENCE, budget=4.0, updates=("rag_refresh",))
    cheap, dear = (price(replace(there, costs={"rag_refresh": cost}), seen, limited, "rag_refresh") for cost in (1.0, 3.0))
    assert 0 < cheap < dear
    assert price(there, seen, replace(limited, budget=0.0), "rag_refresh") == 0
    assert price(there, seen, limited, "counts") == 0
    both = replace(limited, updates=("rag_refresh", "fine_tune"))
    tuned = replace(there, costs={"rag_refresh": 1.0, "fine_tune": 2.0})
    assert price(tuned, seen, both, "rag_refresh") > cheap, "what fine-tunes will take is not there for refreshes"


def test_the_reasons_say_what_it_is_worth_and_what_it_would_have_to_be() -> None:
    seen = tuple(MeasuredDay(DAY + timedelta(days=i), 10_000, 100, 0, 100) for i in range(6))
    there = Standing(
        DAY + timedelta(days=6),
        DAY,
        needs_model=False,
        measured=seen,
        entries=(Entry(DAY, "none"),),
        costs={"counts": 1.0},
    )
    waits, acts = decide(there, CADENCE), decide(there, replace(CADENCE, budget=200.0))
    assert waits.action == "none"
    assert waits.reasons[1].startswith("The rest of the budget asks for")
    assert waits.reasons[1].endswith("before a refresh of the counts; it is worth 300 by now.")
    assert acts.action == "counts"
    assert acts.reasons[1].endswith("it is worth 300 by now.")
