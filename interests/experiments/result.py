"""What is on record of an experiment: small numbers, None where there is nothing to say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Effect:
    """How far treatment lies above control, relative to it.

    Attributes:
        control, treatment: the metric in each arm, unadjusted.
        low, high: the 95 % interval of one look at one time.
        always_low, always_high: the 95 % interval that holds on every day at once; None: no bound can be given.
        p: valid on every day.
        near_zero: the intervals are Fieller's, because control is within three standard errors of 0.
    """

    control: float | None
    treatment: float | None
    value: float | None
    low: float | None
    high: float | None
    always_low: float | None
    always_high: float | None
    p: float | None
    near_zero: bool = False


Reading = Literal["better", "worse", "open"]


@dataclass(frozen=True)
class MetricResult:
    """What an experiment shows of one metric: the difference between its arms.

    Attributes:
        cumulated: of all days up to each. The last is the result.
        daily: of each day alone.
        before: of the days before the start, where nothing may differ; None: they were not looked at.
        biased: they do differ (p < 1 %, all metrics together).
        reading: by the always-valid interval; of guardrails, all tested together, `worse` or `open`.
        reduction: share of the variance that the days before have taken away.
    """

    name: str
    good: Literal["up", "down"]
    guardrail: bool
    ratio: bool
    cumulated: tuple[Effect, ...]
    daily: tuple[Effect, ...]
    before: Effect | None = None
    biased: bool = False
    reading: Reading = "open"
    reduction: float = 0.0


@dataclass(frozen=True)
class ChannelMove:
    """A channel of the experiment moved to another table."""

    at: datetime
    channel: str
    table: int


@dataclass(frozen=True)
class Result:
    """What an experiment shows up to a day: its split of users, and every metric.

    Attributes:
        days: whole days since the start.
        users: exposed, by arm.
        expected: the weights of the arms.
        mismatch_p: of the split of the users (sample-ratio mismatch).
        metrics: none where the split is wrong: whatever made it wrong may have made the difference.
        dropped: what was left out, by reason.
        updates: when one of its channels moved to another table.
    """

    start: datetime
    days: int
    control: str
    treatment: str
    users: Mapping[str, int]
    expected: Mapping[str, float]
    mismatch_p: float
    mismatch: bool
    metrics: tuple[MetricResult, ...]
    dropped: Mapping[str, int]
    planned_users: float
    updates: tuple[ChannelMove, ...] = ()
