"""The cadence: what decides each day whether to update, and what was decided."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs.cadence import Cadence, Update
from driftline.contracts.reviews import KnownBy
from driftline.contracts.runs import FineTuneInput, RagRefreshInput
from driftline.contracts.versions import RunIds

Action = Literal["none", "counts", "rag_refresh", "fine_tune"]

Rule = Literal[1, 2]
"""When a loss is acted on. 1: once it is beyond noise and can be paid. 2: once it is also worth what the budget asks."""
NEWEST_RULE: Rule = 2


@dataclass(frozen=True)
class MeasuredDay:
    """How many of one day's triples, those that end on it, counts of different age predict."""

    day: date
    triples: int
    fresh: int
    """Triples that a table of the newest counts before that day predicts."""
    stale: int
    """Those that a table of the served table's counts predicts."""
    apart: int
    """Those that only one of these two predicts."""
    learned: int | None = None
    """Those that a table of the counts predicts that the model has learned from; None: there is no model."""
    learned_apart: int | None = None
    """Those that only one of `fresh` and `learned` predicts."""
    changed: float | None = None
    """Share of the triples that are of pairs for which fresh and stale counts have other answers."""
    unknown_share: float | None = None
    """Of the day's positive events, those of items that no cluster has."""
    table: int | None = None
    """The served table whose counts were stale."""
    model: int | None = None


@dataclass(frozen=True)
class Entry:
    """A day of the record, as later days read it."""

    day: date
    action: Action
    cost: float = 0.0
    """Seconds that it was expected to take."""


@dataclass(frozen=True)
class Override:
    """A person's decision for some days. The newest that covers a day counts."""

    action: Action
    first: date
    last: date
    by: str
    reason: str
    id: int = 0
    known_by: KnownBy = "claimed"


@dataclass(frozen=True)
class Standing:
    """All that a decision is made from."""

    day: date
    """The nominal day: the log is known up to its midnight."""
    table: date | None
    """Nominal day of the served table; None: there is none."""
    model: date | None = None
    """Nominal day of the newest approved model's fine-tune."""
    needs_model: bool = True
    """Whether a refresh asks an LLM."""
    assigns: bool = False
    """Whether an update puts new items into clusters."""
    measured: tuple[MeasuredDay, ...] = ()
    """Of the served table; oldest first, all before `day`."""
    earlier: tuple[MeasuredDay, ...] = ()
    """Of tables that were served before."""
    entries: tuple[Entry, ...] = ()
    """The record so far, oldest first, all before `day`."""
    costs: dict[Update, float] = Field(default_factory=dict)
    """Seconds that an update of a kind took the last time; a kind that never ran is not there."""
    override: Override | None = None
    rule: Rule = NEWEST_RULE


@dataclass(frozen=True)
class CadenceDecision:
    """What a day was decided to be."""

    day: date
    action: Action
    reasons: tuple[str, ...]
    cost: float = 0.0
    """Seconds that the action is expected to take; 0 where that is not known."""
    left: float | None = None
    """Seconds of the budget that are left after it; None: there is no limit."""
    override: int | None = None
    """The override that decided."""


@dataclass(frozen=True)
class CadenceInput:
    cadence: Cadence
    rag_refresh: RagRefreshInput
    counts: RagRefreshInput
    """The refresh that asks no LLM."""
    fine_tune: FineTuneInput
    nominal: datetime | None = None
    """None: the schedule's nominal time."""
    rule: Rule = 1
    """A schedule keeps the rule of the day on which it was applied, so that its backfill decides as it did. Those from before
    there was a second one name none."""


@dataclass(frozen=True)
class MeasureDay:
    """The day before `nominal`."""

    rag_refresh: RagRefreshInput
    nominal: datetime


@dataclass(frozen=True)
class DecideDay:
    cadence: Cadence
    rag_refresh: RagRefreshInput
    nominal: datetime
    measured: MeasuredDay | None
    run: RunIds
    rule: Rule = 1
