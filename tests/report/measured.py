"""Made-up measurements of a made-up log, for tests of what is said of them: plausible, and no two numbers alike."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise
from math import exp, sin
from typing import get_args

from driftline.interests.metrics.answers import AnswersCompared
from driftline.interests.metrics.arms import (
    FREQUENT,
    FREQUENT_FIXED,
    FREQUENT_RENEWED,
    NO_RAG,
    POPULAR,
    RAG_FIXED,
    RAG_RENEWED,
    TABLE,
)
from driftline.interests.metrics.drift import Curve, Drift, Lag, WindowFacts
from driftline.interests.metrics.estimates import Difference, Estimate
from driftline.interests.metrics.frontier import Axis, Frontier, frontier
from driftline.interests.metrics.hits import ArmHits, HitRates
from driftline.interests.metrics.moved import Moved
from driftline.interests.metrics.policy import Policy, PolicyArm
from driftline.interests.metrics.quality import ArmRecall, Quality
from driftline.interests.metrics.staleness import Staleness, StalePoint
from driftline.interests.metrics.support import ArmAt, Level
from driftline.report.comparisons import PAPERS_CHOICE
from driftline.report.content import CostRow

CLUSTERS = 24
NOTHING = Estimate(None, None, None, 0)


def about(value: float, half: float, n: int = 812) -> Estimate:
    """A value with an interval of ± half."""
    return Estimate(value, value - half, value + half, n)


def share(value: float, half: float, n: int) -> Estimate:
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0), n)


def drift(by_frequency: float = 0.012, by_lift: float = 0.0004) -> Drift:
    """A drift of the size given at lag 6, less at other lags; its interval is ± 0.003."""
    shape = {1: 0.3, 2: 0.5, 3: 0.8, 6: 1.0, 12: 0.35}
    curves = []
    for ranking, size, ceiling in (("frequency", by_frequency, 0.1792), ("lift", by_lift, 0.1446)):
        lags = []
        for at, (lag, share) in enumerate(shape.items()):
            top, fall, n = ceiling + 0.0004 * sin(lag), size * share, 7233 - 600 * at
            lags.append(
                Lag(
                    lag=lag,
                    window_pairs=24 - lag,
                    comparisons=n,
                    jaccard=about(top + 0.003 - fall, 0.0021, 552),
                    variance=0.017 + 0.0002 * at,
                    across=about(top - fall, 0.0024, 540 - at),
                    ceiling=about(top, 0.0023, 540 - at),
                    drift=about(fall, 0.003, 540 - at),
                    unevenness=0.0011 + 0.0001 * at,
                )
            )
        curves.append(Curve(ranking, tuple(lags)))  # type: ignore[arg-type]
    starts = [datetime(2009 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(25)]
    windows = tuple(
        WindowFacts(start, end, 900 + 17 * at, 9000 + 311 * at, 380 + at, about(0.178 + 0.001 * sin(at), 0.006, 380 + at))
        for at, (start, end) in enumerate(pairwise(starts))
    )
    return Drift(CLUSTERS, 5, 5, windows, tuple(curves))


def shares(by_frequency: float, by_lift: float, p: float) -> Drift:
    """Of today's measure: the share given has moved at lag 6, less at other lags; its interval is ± 2 points, p that of lag 6."""
    made = drift()
    curves = []
    for curve, size in zip(made.curves, (by_frequency, by_lift), strict=True):
        lags = tuple(
            replace(lag, moved=Moved(about(size * (lag.lag == 6 or 0.5), 0.02, 16), p if lag.lag == 6 else 0.4))
            for lag in curve.lags
        )
        curves.append(replace(curve, lags=lags))
    return replace(made, curves=tuple(curves))


def staleness() -> Staleness:
    points = tuple(
        StalePoint(
            days,
            k,
            share(same := exp(-0.035 * days * k**0.9), 0.03 * (1 - same) + 0.012, 401),
            share(max(same, exp(-0.03 * days * k**0.7)), 0.02, 401),
        )
        for days in (1, 2, 3, 5, 7, 10, 14, 21, 28)
        for k in (1, 3, 5, 10)
    )
    return Staleness(datetime(2010, 11, 12, tzinfo=UTC), 28, 5, 401, points)


def hits(rates: dict[str, float], differences: dict[tuple[str, str], Estimate], days: int = 14) -> HitRates:
    """Each arm's rate with an interval of ± 1.1 points; by day it wobbles around it. The third day has no occurrence."""
    dates = tuple(date(2010, 11, 26) + timedelta(days=day) for day in range(days))
    phase = count(1)
    arms = []
    for name, rate in rates.items():
        shift = next(phase)
        daily = tuple(
            NOTHING if day == 2 else about(rate + 0.02 * sin(2.1 * day) + 0.004 * sin(shift * (day + 1)), 0.04, 60 + day)
            for day in range(days)
        )
        arms.append(_arm(name, rate, shift, daily))
    compared = tuple(Difference(a, b, e) for (a, b), e in differences.items())
    chance = tuple(None if day == 2 else 0.1731 + 0.005 * sin(day) for day in range(days))
    made = HitRates(dates, 812, 4871, 790, 0.1731, tuple(arms), compared, daily_chance=chance)
    return replace(
        made,
        uptake_chance=0.009,
        triples=4102,
        uptake_differences=tuple(Difference(d.a, d.b, about(0.0004, 0.002)) for d in compared),
        frontiers=tuple(Frontier(against, _best(arms, against)) for against in get_args(Axis)),
        levels=tuple(_level(low, high, arms, compared) for low, high in ((0, 0), (1, 5), (6, 20), (21, None))),
    )


def _arm(name: str, rate: float, shift: int, daily: tuple[Estimate, ...]) -> ArmHits:
    """Recall and spread by name; those of others by their place."""
    recall, effective = {TABLE: (0.0351, 12.0), FREQUENT: (0.0588, 9.0), POPULAR: (0.0602, 2.0)}.get(
        name, (0.03 + 0.0017 * shift, 3.0 + 1.3 * shift)
    )
    return ArmHits(
        name,
        about(rate, 0.011),
        daily,
        about(0.9 - rate - 0.01 * shift, 0.012),
        about(0.012 + 0.001 * shift, 0.002),
        about(recall, 0.0041),
        effective_clusters=effective,
    )


def _best(arms: list[ArmHits], against: Axis) -> tuple[str, ...]:
    points = {}
    for arm in arms:
        assert arm.recall is not None
        other = arm.effective_clusters if against == "effective_clusters" else arm.novel.value
        points[arm.name] = (arm.recall.value or 0.0, other or 0.0)
    return frontier(points)


def _level(low: int, high: int | None, arms: list[ArmHits], compared: tuple[Difference, ...]) -> Level:
    """Where a pair was never seen the first arm is best. The first that is compared loses where it was seen 1 to 5 times."""
    at = tuple(ArmAt(arm.name, about(0.2 + 0.01 * n, 0.03), about(0.041 - 0.002 * n, 0.01)) for n, arm in enumerate(arms))
    lost = tuple(Difference(d.a, d.b, about(-0.01, 0.02 - 0.018 * (low == 1 and n == 0))) for n, d in enumerate(compared))
    return Level(low, high, 140 + low, 120 + 7 * low, at, lost)


def refresh(over_counting: Estimate, over_fixed: Estimate, over_none: Estimate) -> HitRates:
    """RAG renewed against the frequency table renewed, RAG of day 1, and no RAG."""
    rate = 0.3124
    rates = {
        NO_RAG: rate - (over_none.value or 0),
        RAG_FIXED: rate - (over_fixed.value or 0),
        RAG_RENEWED: rate,
        POPULAR: 0.3342,
        FREQUENT_FIXED: 0.3271,
        FREQUENT_RENEWED: rate - (over_counting.value or 0),
    }
    return hits(
        rates,
        {
            (RAG_RENEWED, FREQUENT_RENEWED): over_counting,
            (RAG_RENEWED, POPULAR): about(rate - 0.3342, 0.009),
            (RAG_RENEWED, RAG_FIXED): over_fixed,
            (RAG_RENEWED, NO_RAG): over_none,
            (RAG_FIXED, NO_RAG): about((over_none.value or 0) - (over_fixed.value or 0), 0.008),
            (NO_RAG, FREQUENT_FIXED): about(rates[NO_RAG] - 0.3271, 0.0081),
            (FREQUENT_RENEWED, FREQUENT_FIXED): about(0.0013, 0.0052),
        },
    )


def retrieval() -> HitRates:
    rates = {
        NO_RAG: 0.2981,
        PAPERS_CHOICE: 0.3093,
        "instance, frequency, top 3": 0.3118,
        "instance, trend, top 1": 0.2874,
        "instance, trend, top 3": 0.2902,
        "global, frequency, 100 triples": 0.3016,
        "global, trend, 100 triples": 0.2959,
        FREQUENT_FIXED: 0.3271,
    }
    differences = {
        (name, PAPERS_CHOICE): about(rate - rates[PAPERS_CHOICE], 0.0082) for name, rate in rates.items() if name != PAPERS_CHOICE
    }
    return hits(rates, differences)


def answers() -> AnswersCompared:
    return AnswersCompared(
        temperature=1.0,
        pairs=552,
        with_line=533,
        sampled_with_without=about(0.1377, 0.029, 533),
        sampled_repeated=about(0.2808, 0.0375, 533),
        greedy_with_without=about(0.2391, 0.0355, 533),
        repeats_retrieved=about(0.6135, 0.0413, 533),
        repeats_anyway=about(0.0826, 0.0234, 533),
        sampled_repeats_retrieved=about(0.4128, 0.0418, 533),
    )


def quality(table: int = 6, kind: str = "rag", nominal: datetime = datetime(2010, 12, 10, tzinfo=UTC), step: int = 5) -> Quality:
    """The LLM's recall lies below both baselines."""
    recalls = {TABLE: 0.0520 + 0.001 * step, POPULAR: 0.0669 + 0.0007 * sin(step), FREQUENT: 0.0714 + 0.0008 * sin(2 * step)}
    return Quality(
        table=table,
        kind=kind,
        nominal=nominal,
        clusters=CLUSTERS,
        exact_match_rate=0.9167 - 0.012 * sin(2.2 * step),
        recalls=tuple(ArmRecall(name, about(value, 0.0038, 552)) for name, value in recalls.items()),
        chance=1 / 22,
        test_triples=10731 + step,
        coverage=23,
        entropy=3.02 + 0.03 * step,
        effective_clusters=2 ** (3.02 + 0.03 * step),
        top_share=0.3116 - 0.01 * step,
        hits=hits(
            {TABLE: 0.3011 + 0.001 * step, POPULAR: 0.3302, FREQUENT: 0.3288},
            {(TABLE, POPULAR): about(-0.0241, 0.011), (TABLE, FREQUENT): about(-0.0227, 0.012)},
            days=7,
        ),
        compared_with=table - 1 if step else None,
        changed=0.43 + 0.05 * step if step else None,
    )


def history() -> tuple[Quality, ...]:
    """A fine-tune in November and in December, refreshes between."""
    first = datetime(2010, 11, 1, tzinfo=UTC)
    days = (0, 10, 20, 30, 34, 39)
    return tuple(
        quality(at + 1, "fine_tune" if at in (0, 3) else "rag", first + timedelta(days=day), at) for at, day in enumerate(days)
    )


def costs() -> tuple[CostRow, ...]:
    found = []
    for at, q in enumerate(history()):
        trained = q.kind == "fine_tune"
        end = q.nominal - timedelta(days=7)
        found.append(
            CostRow(
                table=q.table,
                kind=q.kind,
                nominal=q.nominal,
                window_end=end,
                published_at=end + timedelta(days=7, hours=2, minutes=11 * at) if at != 5 else None,
                tokens_trained=96_512 + at if trained else None,
                tokens_forwarded=21_318 - 97 * at,
                asked=552 - 61 * at,
                reused=61 * at,
                train_cpu_seconds=1502.5 + at if trained else None,
                train_gpu_seconds=0.0 if trained else None,
                train_wall_seconds=781.4 + at if trained else None,
                generate_cpu_seconds=88.1 + at,
                generate_gpu_seconds=0.0,
                generate_wall_seconds=47.3 + 2 * at,
                changed=q.changed,
                rows=552,
            )
        )
    return tuple(found)


def policy() -> Policy:
    """The policy explores more and hits less."""
    names = (
        "policy",
        "the same interest, its most popular items",
        "the recommender without an interest",
        "a novel interest at random",
    )
    arms = tuple(
        PolicyArm(
            name,
            about(0.213 - 0.031 * at, 0.021),
            about(0.094 + 0.013 * at, 0.017),
            about(0.062 - 0.011 * at, 0.012),
            about(0.991 - 0.173 * at, 0.006),
            2_217 - 331 * at,
            811.3 - 97.7 * at,
        )
        for at, name in enumerate(names)
    )
    lost = tuple(Difference(names[0], name, about(-0.013 * at, 0.009)) for at, name in enumerate(names) if at)
    won = tuple(Difference(names[0], name, about(0.011 * at, 0.008)) for at, name in enumerate(names) if at)
    return Policy(10, 812, 4_619, arms, lost, won)
