"""From what was observed to what is on record: every metric on every day, unless the split of the users is wrong."""

from collections.abc import Mapping

import numpy as np

from driftline.contracts import Metric
from driftline.interests.experiments.days import Observed
from driftline.interests.experiments.difference import RelativeDifference, before, relative_difference
from driftline.interests.experiments.intervals import ALPHA, always_valid, fixed, intervals
from driftline.interests.experiments.p_values import always_valid_p, fixed_p, mismatch_p
from driftline.interests.experiments.result import Effect, MetricResult, Reading
from driftline.interests.metrics.significance import holm

MISMATCH = 0.001
"""A split of the users that is less likely than this is wrong (ADR 0020)."""
BIAS = 0.01
"""Level at which metrics differ in the days before, all tested together: there is one such look, and an alarm stops people."""
DIGITS = 12
"""Significant digits on record: sums over users differ in later ones by the order in which they were added."""


def split_p(observed: Observed, weights: tuple[float, float]) -> float:
    """p-value of the split between control and treatment (sample-ratio mismatch); below `MISMATCH` no result is shown."""
    return mismatch_p([int(users[-1]) for users in observed.users], weights)


def analyse(observed: Observed, metrics: Mapping[str, Metric], planned: float, adjust: bool) -> tuple[MetricResult, ...]:
    """Every metric, cumulated and by day.

    Args:
        planned: as of `intervals.always_valid`.
        adjust: by the days before the start (CUPED), which were read.
    """
    found = [_measured(name, metric, observed, planned, adjust) for name, metric in metrics.items()]
    biased = holm([p for _, _, p in found], BIAS) if adjust else [False] * len(found)
    guardrails = [place for place, (result, _, _) in enumerate(found) if result.guardrail]
    harm = dict(zip(guardrails, holm([found[place][0].cumulated[-1].p for place in guardrails], ALPHA), strict=True))
    return tuple(
        _read(result, bool(bias), harm.get(place)) for place, ((result, _, _), bias) in enumerate(zip(found, biased, strict=True))
    )


def _measured(
    name: str, metric: Metric, observed: Observed, planned: float, adjust: bool
) -> tuple[MetricResult, RelativeDifference, float | None]:
    control, treatment = observed.metrics[name]
    cumulated = relative_difference(control.cumulated, treatment.cumulated, adjust)
    daily = relative_difference(control.daily, treatment.daily, adjust)
    then = relative_difference(before(control.cumulated), before(treatment.cumulated)) if adjust else None
    result = MetricResult(
        name,
        metric.good,
        metric.guardrail,
        bool(metric.per),
        _effects(cumulated, planned),
        _effects(daily, planned),
        _effects(then, planned)[-1] if then else None,
        reduction=_number(cumulated.reduction[-1]) or 0.0,
    )
    p = _number(fixed_p(then)[-1]) if then else None
    return result, cumulated, p


def _read(result: MetricResult, biased: bool, harmed: bool | None) -> MetricResult:
    last = result.cumulated[-1]
    up = last.always_low is not None and last.always_low > 0
    down = last.always_high is not None and last.always_high < 0
    better, worse = (up, down) if result.good == "up" else (down, up)
    reading: Reading = "open"
    if harmed is None:
        reading = "better" if better else "worse" if worse else "open"
    elif harmed and last.value is not None and (last.value < 0) == (result.good == "up"):
        reading = "worse"
    return MetricResult(**{**vars(result), "biased": biased, "reading": reading})


def _effects(found: RelativeDifference, planned: float) -> tuple[Effect, ...]:
    once, always = intervals(found, fixed(found)), intervals(found, always_valid(found.users, planned))
    ends = (once.low, once.high, always.low, always.high, always_valid_p(found, planned))
    rows = np.stack([found.control, found.treatment, found.value, *ends], axis=-1)
    return tuple(_effect(numbers, bool(near)) for numbers, near in zip(rows.tolist(), once.near_zero.tolist(), strict=True))


def _effect(numbers: list[float], near_zero: bool) -> Effect:
    control, treatment, value, low, high, always_low, always_high, p = map(_number, numbers)
    return Effect(control, treatment, value, low, high, always_low, always_high, p, near_zero)


def _number(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
