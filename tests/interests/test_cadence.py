"""The decision of a day: what comes first, what noise does, and that a budget is a budget."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts import Cadence, Entry, MeasuredDay, Override, Standing
from driftline.interests.cadence import decide
from driftline.interests.cadence_budget import bank

DAY = date(2024, 3, 11)
ADAPTIVE = Cadence(policy="adaptive", budget=300, max_days=28)
STANDING = Standing(DAY, DAY - timedelta(days=10), DAY - timedelta(days=5), costs={"rag_refresh": 100.0, "fine_tune": 250.0})


def days(n: int, fresh: int, stale: int, apart: int, learned: int | None = None) -> tuple[MeasuredDay, ...]:
    """The n days before DAY."""
    return tuple(
        MeasuredDay(DAY - timedelta(days=n - i), 1000, fresh, stale, apart, learned, None if learned is None else apart)
        for i in range(n)
    )


def test_a_loss_beyond_noise_is_a_refresh_and_one_within_is_none() -> None:
    """Ten days, 40 triples apart: a standard error of 20. Two are 40 triples: 4 a day."""
    lost, noise = (decide(replace(STANDING, measured=days(10, 300 + more, 300, 40)), ADAPTIVE) for more in (4, 3))

    assert lost.action == "rag_refresh"
    assert lost.reasons == (
        "Since 2024-03-01 fresh counts would have hit 40 more of 10,000 triples (+0.40%), beyond 2 standard errors of 20.",
    )
    assert (lost.cost, lost.left) == (100, 200)
    assert noise.action == "none"
    assert "within 2 standard errors" in noise.reasons[0]
    assert decide(replace(STANDING, measured=days(10, 300, 320, 40)), ADAPTIVE).action == "none"


def test_days_before_the_last_update_say_nothing() -> None:
    lost = days(10, 310, 300, 40)
    acted = replace(STANDING, measured=lost, entries=(Entry(DAY - timedelta(days=1), "rag_refresh", 100),))

    assert decide(replace(STANDING, measured=lost), ADAPTIVE).action == "rag_refresh"
    assert decide(acted, replace(ADAPTIVE, min_days=2)).reasons == ("The last update was 1 day ago; min_days is 2.",)
    assert decide(acted, ADAPTIVE).reasons[0].startswith("Since 2024-03-10 fresh counts would have hit 10 more of 1,000")


def test_the_longest_interval_goes_before_the_budget_and_noise() -> None:
    spent = (Entry(DAY - timedelta(days=28), "rag_refresh", 900),)
    found = decide(replace(STANDING, table=DAY - timedelta(days=28), entries=spent), ADAPTIVE)

    assert found.action == "rag_refresh"
    assert found.left == pytest.approx(300 - 900 + 280 - 100)
    assert found.reasons == ("The last update was 28 days ago; max_days is 28.",)


def test_what_the_budget_does_not_cover_waits_or_is_a_refresh_of_the_counts() -> None:
    spent = replace(STANDING, measured=days(10, 310, 300, 40), entries=(Entry(DAY - timedelta(days=10), "rag_refresh", 390),))
    waits = decide(spent, ADAPTIVE)
    both = replace(ADAPTIVE, updates=("counts", "rag_refresh", "fine_tune"))
    cheap = decide(replace(spent, costs={**spent.costs, "counts": 2.0}), both)

    assert waits.action == "none"
    assert waits.reasons[-1] == "The budget does not cover a RAG refresh: 100 seconds, and 10 are left."
    assert (cheap.action, cheap.reasons[-2]) == ("counts", waits.reasons[-1])


def test_a_model_whose_days_have_passed_is_a_fine_tune() -> None:
    old = replace(STANDING, model=DAY - timedelta(days=20), table=DAY - timedelta(days=2))
    lost, little = (replace(old, measured=days(15, 300, 300, 40, learned)) for learned in (250, 290))

    assert decide(lost, ADAPTIVE).action == "fine_tune"
    assert "missed 750 of the 4,500" in decide(lost, ADAPTIVE).reasons[0]
    assert decide(little, ADAPTIVE).action == "none"
    assert decide(replace(lost, model=DAY - timedelta(days=13)), ADAPTIVE).action == "none"
    assert decide(replace(little, model=DAY - timedelta(days=30)), ADAPTIVE).action == "fine_tune"
    assert decide(replace(lost, needs_model=False), ADAPTIVE).action == "none"


def test_with_nothing_served_it_begins() -> None:
    none = replace(STANDING, table=None)
    assert decide(replace(none, model=None), ADAPTIVE).action == "fine_tune"
    assert decide(none, ADAPTIVE).action == "rag_refresh"
    assert decide(replace(none, model=None, needs_model=False), ADAPTIVE).action == "counts"


def test_unknown_items_are_a_refresh_where_one_assigns_them() -> None:
    (quiet,) = days(1, 300, 300, 0)
    many = replace(STANDING, measured=(replace(quiet, unknown_share=0.2),))

    assert decide(replace(many, assigns=True), ADAPTIVE).action == "rag_refresh"
    found = decide(many, ADAPTIVE)
    assert found.action == "none"
    assert "driftline clusters assign" in found.reasons[-1]


def test_a_person_decides_against_everything_else() -> None:
    said = Override("none", DAY, DAY + timedelta(days=2), "Ada", "a sale distorts the log", 7)
    found = decide(replace(STANDING, table=None, override=said), ADAPTIVE)

    assert (found.action, found.override) == ("none", 7)
    assert found.reasons == ("Ada said so for 2024-03-11 to 2024-03-13: a sale distorts the log",)
    assert decide(replace(STANDING, override=replace(said, action="fine_tune")), ADAPTIVE).action == "fine_tune"


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=80),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_no_month_costs_more_than_three_budgets_whatever_is_measured(hits: list[tuple[int, int]], cost: int, budget: int) -> None:
    """A bucket that holds two months and fills by one in a month; no interval is reached here."""
    cadence = Cadence(policy="adaptive", budget=budget, max_days=1000, fine_tune_max_days=1000)
    entries: list[Entry] = []
    measured: list[MeasuredDay] = []
    today, found = DAY, decide(STANDING, cadence)
    for i, (fresh, stale) in enumerate(hits):
        today = DAY + timedelta(days=i)
        standing = Standing(
            today, DAY, needs_model=False, measured=tuple(measured), entries=tuple(entries), costs={"counts": float(cost)}
        )
        found = decide(standing, cadence)
        entries.append(Entry(today, found.action, found.cost))
        measured.append(MeasuredDay(today, 100, fresh, stale, fresh + stale))
        assert found.left is not None
        assert found.left >= -1e-9
        assert sum(e.cost for e in entries if (today - e.day).days < 30) <= 3 * budget + 1e-9
    assert bank(entries, budget, today, 2) == pytest.approx(found.left)
