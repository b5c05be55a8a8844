"""The two updates: their windows, what their tables are made of, and when they start."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts import STRICT, AnswersFrom, Days, WholeDays, Windows


@dataclass(frozen=True, config=STRICT)
class UpdateWindows(Windows):
    """One of the two updates, and what its table is made of."""

    answers: AnswersFrom = "llm"

    @property
    def windows(self) -> Windows:
        """The update's windows, with validation days filled in: where counts have a say, at least a fifth of the days choose."""
        fitted = self.validation_days or (0 if self.answers == "llm" else max(1, self.days // 5))
        return Windows(self.days, self.test_days, fitted)


@dataclass(frozen=True, config=STRICT)
class FineTuneWindows(UpdateWindows):
    days: Days = 90
    """Days of log to learn from."""
    test_days: Days = 28
    """Days after them, up to the run's nominal time, that judge the candidate and are never learned from."""
    validation_days: Annotated[int, Field(ge=0, le=36_525)] = 14
    """The newest of `days`: they decide when training stops and which checkpoint is kept, and are never learned from. 0: none."""
    answers: AnswersFrom = "llm"
    """What its table is made of, as in `rag_refresh`; `counts` trains nothing."""


@dataclass(frozen=True, config=STRICT)
class RagRefreshWindows(UpdateWindows):
    days: Days = 28
    """Days of log to retrieve from."""
    test_days: Days = 7
    """Days after them, up to the run's nominal time, that judge the candidate and are never retrieved from."""
    validation_days: Annotated[int, Field(ge=0, le=36_525)] = 0
    """The newest of `days`: nothing is retrieved from them, so that they can choose. 0: none; a fifth of `days`
    where `answers` is not `llm`."""
    answers: AnswersFrom = "llm"
    """What its table is made of. `llm`: the LLM's greedy answers, as in the paper. `counts`: the pair's own counts where there
    are enough, else the successors of both interests; no model and no LLM is needed. `blend`: the likeliest answer under both;
    its weights, fitted on the validation window, say whether the LLM knows what counting does not."""


@dataclass(frozen=True, config=STRICT)
class Schedule:
    """When the two updates start by themselves (UTC)."""

    fine_tune_day: int = Field(default=1, ge=1, le=28)
    """Day of the month."""
    rag_refresh_every: WholeDays = timedelta(days=2)
    """Time between two starts, counted from 1970. Whole days; see the note below."""
    hour: int = Field(default=3, ge=0, le=23)
    """Hour (UTC) at which both updates start. A run's data ends at the midnight before, so that late events arrive."""
    recommender: bool = False
    """Also train the sequence recommender, on the day of the fine-tune."""
    catchup: Annotated[timedelta, Field(ge=timedelta(seconds=10), le=timedelta(days=365))] = timedelta(days=2)
    """How late a start that was missed (Temporal was down) is still made up for."""
