"""Cadences beside each other: which cadence is beaten, and what the kept days come to."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from driftline.contracts import Action, MeasuredDay
from driftline.db.measurements import Measurement
from driftline.interests.metrics.arms import COUNTED_FIXED, COUNTED_RENEWED, RAG_FIXED, RAG_RENEWED
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import ArmHits, HitRates
from driftline.report.cadences import Decided, findings, kept, replayed
from driftline.report.dimensions import Dimensions
from driftline.report.dimensions_page import render

DAY = datetime(2024, 3, 1, tzinfo=UTC)
UNKNOWN = Estimate(None, None, None, 0)


def replay(version: int, every: float, dates: int, hit: float, **other: Any) -> Measurement:
    """Ten days, with the LLM and counts renewed on so many dates."""
    rates = {RAG_FIXED: 0.30, RAG_RENEWED: hit, COUNTED_FIXED: 0.4, COUNTED_RENEWED: 0.4}
    arms = tuple(ArmHits(name, Estimate(rate, rate - 0.01, rate + 0.01, 90), (), UNKNOWN) for name, rate in rates.items())
    period = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-11T00:00:00Z"}
    since = {name: ["2024-03-01"] * (dates if "renewed" in name else 1) for name in rates}
    inputs: dict[str, Any] = {"model": 1, "source": {"events": "e"}, "period": period, "retrieval": {}, "dedup": "first"}
    inputs |= {"predicate": "true", "every_days": every, "since": since, **other}
    return Measurement(version, "refresh", 1, None, 1, inputs, HitRates((), 90, 900, 9, 0.1, arms, ()), "w", "r", DAY)


def lines(*found: Measurement) -> dict[str, list[tuple[str, int, float | None]]]:
    compared = replayed(found)
    assert compared is not None
    return {line.name: [(one.name, one.updates, one.rate.value) for one in line.cadences] for line in compared.lines}


def test_replays_stand_beside_each_other_by_what_answers() -> None:
    found = lines(replay(2, 1, 10, 0.33), replay(3, 2, 5, 0.32))
    assert found["LLM with RAG"] == [("never", 0, 0.30), ("every 2 days", 4, 0.32), ("every day", 9, 0.33)]
    assert [name for name, _, _ in found["counting model"]] == ["never", "every 2 days", "every day"]
    assert "frequency table" not in found, "it was not among the arms"


def test_a_cadence_is_beaten_by_one_of_fewer_updates_and_as_many_hits() -> None:
    compared = replayed((replay(1, 5, 2, 0.35), replay(2, 2, 5, 0.34), replay(3, 1, 10, 0.36)))
    assert compared is not None
    unbeaten = {line.name: set(line.unbeaten) for line in compared.lines}
    assert unbeaten == {"LLM with RAG": {"never", "every 5 days", "every day"}, "counting model": {"never"}}


def test_it_is_said_with_intervals() -> None:
    (finding,) = findings(replayed((replay(1, 2, 5, 0.31),)))
    assert finding.text == (
        "Replayed on 2024-03-01 to 2024-03-11, the hit rate of the LLM with RAG was 30.00 % (29.00 to 31.00 %) never renewed and "
        "31.00 % (30.00 to 32.00 %) renewed every 2 days."
    )
    assert findings(None) == []


def decided(day: int, action: Action, stale: int, fresh: int, learned: int | None = 20) -> Decided:
    measured = MeasuredDay(date(2024, 3, day), 100, fresh, stale, 9, learned)
    return Decided(DAY + timedelta(days=day), action, (), measured)


def test_the_days_kept_lie_between_fine_tunes_alone_and_an_update_every_day() -> None:
    days = (decided(1, "none", 30, 34), decided(2, "rag_refresh", 30, 36), decided(3, "fine_tune", 40, 41))
    compared = kept(days)
    assert compared is not None
    (line,) = compared.lines
    assert compared.days == "2024-03-01 to 2024-03-03"
    shown = [(one.name, one.updates, one.rate.value) for one in line.cadences]
    assert shown == [("fine-tunes alone", 1, 0.2), ("as decided", 2, 100 / 300), ("every day", 3, 111 / 300)]
    without = kept((*days, decided(4, "none", 1, 2, learned=None)))
    assert without is not None
    assert [one.name for one in without.lines[0].cadences] == ["as decided", "every day"], "not every day knows what was learnt"
    assert kept(()) is None


def test_the_page_draws_both_and_prices_what_asks_an_llm() -> None:
    page = render(Dimensions("default", (), (decided(1, "none", 30, 34),), (replay(1, 2, 5, 0.31),)))
    for words in (
        "Cadences replayed, 2024-03-01 to 2024-03-11",
        "Cadences as they were kept",
        "every 2 days",
        "no LLM",
        "unbeaten",
    ):
        assert words in page
    assert page == render(Dimensions("default", (), (decided(1, "none", 30, 34),), (replay(1, 2, 5, 0.31),)))
    bare = render(Dimensions("default", ()))
    assert "Not replayed: run" in bare
    assert "No days kept: set" in bare
