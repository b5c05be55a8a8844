"""Knobs of the cadence."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import STRICT, Days, Share

Update = Literal["counts", "rag_refresh", "fine_tune"]
"""`counts`: a refresh that asks no LLM."""


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
