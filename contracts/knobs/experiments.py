"""Knobs of a live experiment."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import STRICT
from driftline.contracts.lines import Name

MOST_DAYS = 365


@dataclass(frozen=True, config=STRICT)
class Metric:
    """What an experiment measures: a sum per user or, with `per`, a ratio of two sums. DuckDB expressions over the outcomes."""

    value: Annotated[str, Field(min_length=1)]
    """A number or a condition of a row, e.g. `satisfied` or `watched > 0.8`; what is null counts 0."""
    per: str = ""
    """Denominator of a rate, e.g. `responses`, or `1.0` for each row; empty: per exposed user."""
    good: Literal["up", "down"] = "up"
    """Which way is better."""
    guardrail: bool = False
    """Must not get worse; all guardrails are tested together (Holm)."""


MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_ -]{0,63}$")]


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """A live experiment (docs/experiments.md). Who is on which channel is `serving.channels` and `serving.salt`."""

    exposures: str = ""
    """Who was shown what one of the two channels answers, and when: files or a DuckDB query, as `source.events`."""
    outcomes: str = ""
    """What users did, with the metrics' columns, in the same forms. Empty: the exposures have them."""
    setup: str = ""
    """DuckDB statements that run first, as `source.setup`."""
    user: str = "user"
    """The user's id, in both."""
    timestamp: str = "ts"
    """Date and time, in both."""
    arm: str = ""
    """The channel's name in an exposure. Empty: by the hash that `driftline serve` goes by."""
    control: Name = "control"
    """Channel of the users who are compared to."""
    treatment: Name = "treatment"
    """Channel of the users who are compared."""
    metrics: dict[MetricName, Metric] = Field(default_factory=dict)
    """By name, e.g. `[experiment.metrics.satisfaction]` with `value`, `per`, `good` and `guardrail`."""
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 14
    """How long it is measured, unless it is stopped before."""
    days_before: Annotated[int, Field(ge=0, le=MOST_DAYS)] = 14
    """Days of outcomes before the start that the metrics are adjusted by (CUPED), and that must not differ. 0: none."""
    planned_users: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5000
    """Users of both arms at whose number the always-valid interval is narrowest. Choose it before the start."""
    delay: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=7))] = timedelta(hours=6)
    """How long after midnight (UTC) a day is measured, so that late events arrive."""
