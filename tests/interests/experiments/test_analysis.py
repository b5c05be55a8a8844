"""How a metric reads: by the interval that may be looked at every day, and guardrails all together."""

import numpy as np
import pytest
from scipy.stats import norm

from driftline.contracts import Metric
from driftline.interests.experiments.analysis import analyse, split_p
from driftline.interests.experiments.days import MetricDays, Observed
from driftline.interests.experiments.moments import Moments, moments_of
from driftline.interests.experiments.result import MetricResult

USERS = 400
SHAPE = norm.ppf((np.arange(USERS) + 0.5) / USERS)
ERROR = np.sqrt(2 / USERS) / 10
"""Of the relative difference, about."""


def arm(errors: float, before: float = 0.0) -> Moments:
    """One day of users around 10, so many standard errors higher; of the days before, too."""
    then = np.roll(SHAPE, 7) + 10 + before * ERROR * 10
    rows = np.stack([SHAPE + 10 + errors * ERROR * 10, np.ones(USERS), then, np.ones(USERS)], axis=-1)
    return moments_of(rows[None])


def read(metrics: dict[str, Metric], before: float = 0.0, **errors: float) -> dict[str, MetricResult]:
    both = {name: tuple(MetricDays(one, one) for one in (arm(0.0), arm(errors[name], before))) for name in metrics}
    users = np.array([float(USERS)])
    observed = Observed((users, users), both, {})  # type: ignore[arg-type]
    return {found.name: found for found in analyse(observed, metrics, planned=800, adjust=bool(before))}


@pytest.mark.parametrize(
    ("errors", "good", "reading"),
    [(2.5, "up", "open"), (4.0, "up", "better"), (4.0, "down", "worse"), (-4.0, "up", "worse"), (-4.0, "down", "better")],
)
def test_a_reading_goes_by_the_interval_that_is_valid_on_every_day(errors: float, good: str, reading: str) -> None:
    found = read({"m": Metric("x", good=good)}, m=errors)["m"]  # type: ignore[arg-type]
    effect = found.cumulated[-1]
    assert effect.low is not None
    assert effect.high is not None
    assert effect.low > 0 or effect.high < 0, "one look would have said so each time"
    assert found.reading == reading


def test_of_several_guardrails_each_takes_more() -> None:
    """p is 0.03 or so: below 5 %, and above 5 % / 2."""
    guardrail = Metric("x", good="down", guardrail=True)
    alone = read({"a": guardrail}, a=3.25)["a"]
    assert alone.cumulated[-1].p is not None
    assert 0.025 < alone.cumulated[-1].p < 0.05
    assert alone.reading == "worse"
    beside = read({"a": guardrail, "b": guardrail}, a=3.25, b=0.5)
    assert [found.reading for found in beside.values()] == ["open", "open"]
    assert read({"a": guardrail}, a=-5)["a"].reading == "open", "better than that a guardrail need not be"


def test_arms_that_differed_before_are_told_from_those_that_did_not() -> None:
    assert read({"m": Metric("x")}, before=5.0, m=0.0)["m"].biased
    assert not read({"m": Metric("x")}, before=1.0, m=0.0)["m"].biased


def test_the_split_is_that_of_the_last_day() -> None:
    observed = Observed((np.array([10.0, 500.0]), np.array([90.0, 500.0])), {}, {})
    assert split_p(observed, (1, 1)) == 1
    assert split_p(observed, (2, 1)) < 0.001
