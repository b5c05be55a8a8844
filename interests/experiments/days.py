"""What was observed of an experiment: each arm's moments day by day, from sums of what happened on each day.

A user's total X grows by x on a day, so that ΣX² grows by Σ(2·X·x + x²): users without an event that day need not be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftline.interests.experiments.moments import (
    DENOMINATOR,
    DENOMINATOR_BEFORE,
    NUMERATOR,
    NUMERATOR_BEFORE,
    Floats,
    Moments,
)

X, Y, P, Q = NUMERATOR, DENOMINATOR, NUMERATOR_BEFORE, DENOMINATOR_BEFORE


@dataclass(frozen=True, eq=False)
class Entered:
    """Users by the day of their first exposure: [days] each; p and q are a user's numbers of the days before."""

    n: Floats
    p: Floats
    q: Floats
    pp: Floats
    qq: Floats
    pq: Floats


@dataclass(frozen=True, eq=False)
class Happened:
    """Sums over users of what a day brought: [days] each. `X` and `Y` are a user's totals of the days before that day."""

    x: Floats
    y: Floats
    xx: Floats
    yy: Floats
    xy: Floats
    xX: Floats
    yY: Floats
    xY_yX: Floats
    xp: Floats
    xq: Floats
    yp: Floats
    yq: Floats


@dataclass(frozen=True, eq=False)
class MetricDays:
    """Daily moments of one arm and metric, [days]: all days up to each, and each day alone. Users are those exposed by then."""

    cumulated: Moments
    daily: Moments


@dataclass(frozen=True, eq=False)
class Observed:
    """Users and metrics of both arms, day by day. `metrics`: by name, of control and treatment. `users`: [days], exposed by then.
    `dropped`: what was left out, and why."""

    users: tuple[Floats, Floats]
    metrics: Mapping[str, tuple[MetricDays, MetricDays]]
    dropped: Mapping[str, int]


def metric_days(entered: Entered, happened: Happened, per_user: bool) -> MetricDays:
    """Sums a metric up to each day. `per_user`: the denominators are 1, whatever `happened` says of them."""
    users = [np.cumsum(part) for part in (entered.n, entered.p, entered.q, entered.pp, entered.qq, entered.pq)]
    zero = np.zeros_like(happened.x)
    grown = Happened(
        x=np.cumsum(happened.x),
        y=np.cumsum(happened.y),
        xx=np.cumsum(happened.xx + 2 * happened.xX),
        yy=np.cumsum(happened.yy + 2 * happened.yY),
        xy=np.cumsum(happened.xy + happened.xY_yX),
        xX=zero,
        yY=zero,
        xY_yX=zero,
        xp=np.cumsum(happened.xp),
        xq=np.cumsum(happened.xq),
        yp=np.cumsum(happened.yp),
        yq=np.cumsum(happened.yq),
    )
    return MetricDays(_moments(users, grown, per_user), _moments(users, happened, per_user))


def _moments(users: list[Floats], of: Happened, per_user: bool) -> Moments:
    n, p, q, pp, qq, pq = users
    y, yy, xy, yp, yq, xq = of.y, of.yy, of.xy, of.yp, of.yq, of.xq
    if per_user:
        q = qq = y = yy = yq = n
        xy, yp, pq, xq = of.x, p, p, of.x
    sums = np.stack([of.x, y, p, q], axis=-1)
    rows = ((of.xx, xy, of.xp, xq), (xy, yy, yp, yq), (of.xp, yp, pp, pq), (xq, yq, pq, qq))
    return Moments(n, sums, np.stack([np.stack(row, axis=-1) for row in rows], axis=-2))
