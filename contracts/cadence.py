"""The cadence: what decides each day whether to update, and what was decided."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import STRICT, Days, Share
from driftline.contracts.reviews import KnownBy
from driftline.contracts.runs import FineTuneInput, RagRefreshInput
from driftline.contracts.versions import RunIds

Update = Literal["counts", "rag_refresh", "fine_tune"]
"""`counts`: a refresh that asks no LLM."""
Action = Literal["none", "counts", "rag_refresh", "fine_tune"]


Rule = Literal[1, 2]
"""When a loss is acted on. 1: once it is beyond noise and can be paid. 2: once it is also worth what the budget asks."""
NEWEST_RULE: Rule = 2


@dataclass(frozen=True, config=STRICT)
class Cadence:
    """When the two updates start by themselves (docs/cadence.md)."""

    policy: Literal["fixed", "adaptive"] = "fixed"
    """`fixed`: by the calendar of `schedule`. `adaptive`: each day decides, from what the newest days of log say."""
    updates: tuple[Update, ...] = ("rag_refresh", "fine_tune")
    """What may be started. `counts` is the choice where a RAG refresh is due and the budget does not cover it."""
    unit: Literal["cpu", "gpu"] = "cpu"
    """Whose seconds the budget is of."""
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds in 30 days. What is not spent is kept, up to twice that. 0: no limit."""
    min_days: Days = 1
    """Days between two refreshes, at least."""
    max_days: Days = 56
    """Days after which a refresh starts whatever was measured, and whatever is left of the budget."""
    fine_tune_min_days: Days = 14
    """The same of fine-tunes."""
    fine_tune_max_days: Days = 30
    """The same of fine-tunes."""
    errors: Annotated[float, Field(ge=0, le=10)] = 2.0
    """Standard errors by which fresh counts must have hit more before a loss is believed."""
    fine_tune_loss: Share = 0.10
    """A fine-tune is due when counts of the days that the model has learned from miss this share of what fresh counts hit."""
    max_unknown_share: Share = 0.10
    """A refresh is due when more than this share of a day's events are of items in no cluster, if `clusters.assign` is `auto`."""

    @model_validator(mode="after")
    def _possible(self) -> "Cadence":
        if not self.updates:
            raise ValueError("updates is empty: nothing could ever be started")
        for least, most, name in (
            (self.min_days, self.max_days, "max_days"),
            (self.fine_tune_min_days, self.fine_tune_max_days, "fine_tune_max_days"),
        ):
            if least > most:
                raise ValueError(f"{name} is {most} and the least is {least}: nothing could start in between")
        return self


@dataclass(frozen=True)
class MeasuredDay:
    """What one day of log says about counts of different age. All are asked about the triples that end on that day."""

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
    """What a person has said for some days. The newest that covers a day counts."""

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
