"""Cadences beside each other: how often each updates, and how often what it serves comes true; by what is on record only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftline.contracts import Action, MeasuredDay
from driftline.db.measurements import Measurement
from driftline.interests.metrics.arms import (
    COUNTED_FIXED,
    COUNTED_RENEWED,
    FREQUENT_FIXED,
    FREQUENT_RENEWED,
    RAG_FIXED,
    RAG_RENEWED,
)
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.frontier import frontier
from driftline.report.finding import Finding
from driftline.report.words import interval, listed, percent

LLM = "LLM with RAG"
REPLAYED = {
    LLM: (RAG_FIXED, RAG_RENEWED),
    "counting model": (COUNTED_FIXED, COUNTED_RENEWED),
    "frequency table": (FREQUENT_FIXED, FREQUENT_RENEWED),
}
"""Arms of a replay, by what answers: the one of day 1, and the one that is renewed."""
NEVER = "never"
HOW = (
    "Not replayed: run `driftline evaluate refresh`, and again with `--every 1d` or `--every 7d` over the same days.",
    "No days kept: set `cadence.policy` to `adaptive` and run `driftline schedule apply`.",
)
"""Where there is no replay, and where no day was kept."""


@dataclass(frozen=True)
class Decided:
    """A day of the cadence's record."""

    day: datetime
    action: Action
    reasons: tuple[str, ...]
    measured: MeasuredDay | None


@dataclass(frozen=True)
class CadenceRate:
    """A cadence, and the hit rate under it. `updates`: after the first day."""

    name: str
    updates: int
    rate: Estimate


@dataclass(frozen=True)
class CadenceCurve:
    """Cadences of what answers alike, by rising number of updates."""

    name: str
    cadences: tuple[CadenceRate, ...]

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """Names the cadences that none beats in both updates and hits, the most hits first. Values count as measured, noise and
        all."""
        return frontier({one.name: (one.rate.value, -float(one.updates)) for one in self.cadences if one.rate.value is not None})


@dataclass(frozen=True)
class Compared:
    days: str
    lines: tuple[CadenceCurve, ...]


def replayed(found: Sequence[Measurement]) -> Compared | None:
    """The replays of the same days, log and model beside each other.

    Args:
        found: of the kind `refresh`, each with another interval, the newest last.
    """
    if not found:
        return None
    newest = found[-1]
    lines = []
    for name, (fixed, renewed) in REPLAYED.items():
        cadences = [_replay(NEVER, newest, fixed)] + [_replay(_every(m.inputs["every_days"]), m, renewed) for m in found]
        known = sorted((one for one in cadences if one), key=lambda one: one.updates)
        lines += [CadenceCurve(name, tuple(known))] if known else []
    period = newest.inputs["period"]
    return Compared(f"{period['start'][:10]} to {period['end'][:10]}", tuple(lines))


def kept(days: Sequence[Decided]) -> Compared | None:
    """The days of the cadence's record, as they were decided, beside an update every day and fine-tunes alone."""
    measured = [day.measured for day in days if day.measured]
    triples = sum(day.triples for day in measured)
    if not triples:
        return None

    def share(hits: int) -> Estimate:
        return Estimate(hits / triples, None, None, triples)

    acted, tuned = (
        sum(day.action in actions for day in days) for actions in (("counts", "rag_refresh", "fine_tune"), ("fine_tune",))
    )
    cadences = [
        CadenceRate("as decided", acted, share(sum(day.stale for day in measured))),
        CadenceRate("every day", len(days), share(sum(day.fresh for day in measured))),
    ]
    learned = [day.learned for day in measured if day.learned is not None]
    if len(learned) == len(measured):
        cadences.insert(0, CadenceRate("fine-tunes alone", tuned, share(sum(learned))))
    span = f"{measured[0].day} to {measured[-1].day}"
    return Compared(span, (CadenceCurve("counts", tuple(sorted(cadences, key=lambda one: one.updates))),))


def findings(found: Compared | None) -> list[Finding]:
    """The hit rate of the LLM under each cadence."""
    line = next((line for line in found.lines if line.name == LLM), None) if found else None
    known = [one for one in line.cadences if one.rate.value is not None] if line else []
    if found is None or len(known) < 2:
        return []
    how = {one.name: "never renewed" if one.name == NEVER else f"renewed {one.name}" for one in known}
    rates = listed([f"{percent(one.rate.value or 0.0)} ({interval(one.rate, percent)}) {how[one.name]}" for one in known])
    return [Finding("neutral", f"Replayed on {found.days}, the hit rate of the {LLM} was {rates}.")]


def _replay(name: str, measured: Measurement, arm: str) -> CadenceRate | None:
    rate = next((one.rate for one in measured.result.arms if one.name == arm), None)
    return None if rate is None else CadenceRate(name, len(measured.inputs["since"][arm]) - 1, rate)


def _every(days: float) -> str:
    return "every day" if days == 1 else f"every {days:g} days"
