"""Made-up contents of the page: everything measured, nothing, and what lies between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from driftline.contracts import Window
from driftline.interests.metrics.drift import Curve
from driftline.interests.metrics.drift import drift as measure_drift
from driftline.interests.metrics.estimates import Estimate
from driftline.report.content import Content, Provenance
from driftline.report.findings import findings
from tests.report.measured import (
    CLUSTERS,
    NOTHING,
    about,
    answers,
    costs,
    drift,
    history,
    policy,
    refresh,
    retrieval,
    staleness,
)


def empty() -> Content:
    """Nothing was measured."""
    end, nominal = datetime(2010, 12, 3, tzinfo=UTC), datetime(2010, 12, 10, tzinfo=UTC)
    return Content(
        table=6,
        kind="rag",
        nominal=nominal,
        model=2,
        cluster_set=1,
        clusters=CLUSTERS,
        pairs=552,
        window=Window(end - timedelta(days=21), end),
        written_at=nominal + timedelta(hours=9, minutes=12),
        findings=findings(),
    )


def full() -> Content:
    """Everything was measured; the refresh does not pay."""
    measured = {
        "drift": drift(),
        "staleness": staleness(),
        "refresh": refresh(about(-0.0177, 0.0084), about(0.0021, 0.0049), about(0.0123, 0.0081)),
        "answers": answers(),
        "retrieval": retrieval(),
        "policy": policy(),
    }
    inputs = {"model": 2, "dedup": "first", "predicate": "true", "every_days": 2.0}
    sources = tuple(Provenance(kind, 11 + at, inputs) for at, kind in enumerate((*measured, "quality")))
    tables, spent = history(), costs()
    made = replace(
        empty(),
        channels=("default", "treatment"),
        test_window=Window(datetime(2010, 12, 3, tzinfo=UTC), datetime(2010, 12, 10, tzinfo=UTC)),
        qualities=tables,
        costs=spent,
        sources=sources,
        **measured,  # type: ignore[arg-type]
    )
    return replace(made, findings=findings(quality=tables[-1], cost=spent[-1], **measured))  # type: ignore[arg-type]


def hollow() -> Content:
    """Everything was measured, and nothing came of it."""
    made = full()
    drift, stale, hits, answers = made.drift, made.staleness, made.refresh, made.answers
    assert drift is not None
    assert stale is not None
    assert hits is not None
    assert answers is not None
    lags: dict[str, Any] = dict.fromkeys(("jaccard", "across", "ceiling", "drift"), NOTHING)
    lags |= {"variance": None, "unevenness": None}

    def emptied(measured: object) -> dict[str, Any]:
        return {name: NOTHING for name, value in vars(measured).items() if isinstance(value, Estimate)}

    empty_days = tuple(NOTHING for _ in hits.days)
    arms = tuple(replace(arm, rate=NOTHING, novel=NOTHING, uptake=NOTHING, recall=NOTHING, daily=empty_days) for arm in hits.arms)
    differences = tuple(replace(d, estimate=NOTHING) for d in hits.differences)
    lacks: dict[str, Any] = {"chance": None, "daily_chance": (None,) * len(hits.days), "missing": ("n = 0 users",)}
    lacks |= {"uptake_chance": None, "triples": 0, "frontiers": (), "levels": ()}
    nothing = replace(hits, arms=arms, differences=differences, users=0, occurrences=0, **lacks)
    return replace(
        made,
        drift=replace(drift, curves=tuple(replace(c, lags=tuple(replace(p, **lags) for p in c.lags)) for c in drift.curves)),
        staleness=replace(stale, points=tuple(replace(p, same_list=NOTHING, same_set=NOTHING) for p in stale.points)),
        refresh=nothing,
        retrieval=replace(nothing, days=(), daily_chance=()),
        answers=replace(answers, **emptied(answers)),
        qualities=tuple(
            replace(
                q,
                exact_match_rate=None,
                recalls=tuple(replace(r, recall=NOTHING) for r in q.recalls),
                hits=nothing,
                changed=None,
                compared_with=None,
            )
            for q in made.qualities
        ),
        costs=tuple(replace(row, published_at=None, generate_wall_seconds=None, train_wall_seconds=None) for row in made.costs),
    )


def no_windows() -> Content:
    """The log is shorter than one whole window."""
    return replace(full(), drift=measure_drift([], CLUSTERS, [1, 2], 5, 5))


def few_clusters() -> Content:
    """The lists hold every novel cluster: windows, but no lags; and an answer that every pair is told alike."""
    made = full()
    assert made.drift is not None
    assert made.answers is not None
    curves = tuple(Curve(curve.ranking, ()) for curve in made.drift.curves)
    missing = "top-5 lists: not enough data: n = 5 novel clusters per pair, and the lists hold them all; lower measures.top_k"
    shared = replace(made.answers, repeats_retrieved=NOTHING, repeats_anyway=NOTHING, sampled_repeats_retrieved=NOTHING)
    return replace(made, drift=replace(made.drift, curves=curves, missing=(missing,)), answers=shared)


def one_table() -> Content:
    made = full()
    return replace(made, table=1, qualities=made.qualities[:1], costs=made.costs[:1])


def one_point() -> Content:
    """One window pair, one day, one arm, one user."""
    made = full()
    drift, stale, hits = made.drift, made.staleness, made.refresh
    assert drift is not None
    assert stale is not None
    assert hits is not None
    lone = Estimate(0.25, None, None, 1)
    arm = replace(hits.arms[0], rate=lone, daily=(lone,), novel=lone, uptake=lone, recall=lone)
    return replace(
        made,
        drift=replace(
            drift,
            curves=tuple(replace(c, lags=(replace(c.lags[0], across=lone, ceiling=lone, drift=lone),)) for c in drift.curves),
        ),
        staleness=replace(stale, points=stale.points[:1]),
        refresh=replace(hits, days=hits.days[:1], daily_chance=hits.daily_chance[:1], arms=(arm,), differences=()),
        retrieval=replace(hits, days=hits.days[:1], daily_chance=hits.daily_chance[:1], arms=(arm,), differences=()),
    )
