"""Sections 1 and 2: what users do; no LLM answers."""

from driftline.interests.metrics.drift import Curve, Drift, Lag
from driftline.interests.metrics.staleness import Staleness
from driftline.report import plots
from driftline.report.content import Content
from driftline.report.definitions import DRIFT, SEQUENCE, STALE
from driftline.report.layout import NOT_ENOUGH, Cell, Grid, Plot, Section, cell, known, plot, sources, unmeasured
from driftline.report.words import change, count, day, decimal, percent, span


def moving(content: Content) -> Section:
    drift = content.drift
    shown = bool(drift) and known([lag.across for curve in (drift.curves if drift else ()) for lag in curve.lags])
    return Section(
        "drift",
        "How fast do interests move?",
        "Drift",
        "How alike are the successors that follow a pair of interests in two windows, and how much of the difference is noise?",
        (*SEQUENCE, *DRIFT),
        tuple(_curves(drift)) if drift and shown else (),
        tuple(_drift_grids(drift)) if drift else (),
        drift.missing if drift else unmeasured("drift"),
        sources(content, "drift"),
    )


def _curves(drift: Drift) -> list[Plot]:
    by = {"frequency": "By frequency: popularity and affinity together", "lift": "By lift: affinity alone"}
    text = (
        "Bands: 95 % intervals over pairs. Whiskers: over users; a filled point is beyond noise with all lags looked at together "
        "(Holm). Both plots have scales of one size."
    )
    figures = plots.lag_curves(drift.curves, drift.top_k)
    return [
        plot(figure, f"lag-{curve.ranking}", by[curve.ranking], text) for curve, figure in zip(drift.curves, figures, strict=True)
    ]


def _drift_grids(drift: Drift) -> list[Grid]:
    grids = [_lags(drift, curve) for curve in drift.curves if curve.lags]
    if not drift.windows:
        return grids
    windows = tuple(
        (
            Cell(span(window.start, window.end)),
            cell(window.users, count),
            cell(window.triples, count),
            cell(window.pairs, count),
            cell(window.ceiling, decimal),
        )
        for window in drift.windows
    )
    columns = ("window", "users", "triples", f"pairs with ≥ {drift.min_support} in both halves", "ceiling J(A, B), by frequency")
    return [*grids, Grid(f"The {len(windows)} windows", columns, windows, folded=True)]


def _lags(drift: Drift, curve: Curve) -> Grid:
    columns = (
        "lag, windows",
        "moved",
        "p",
        "across",
        "noise ceiling",
        "drift",
        "raw ceiling",
        "u",
        "pairs",
        "comparisons",
        "window pairs",
        "whole windows",
        "variance",
    )
    rows = tuple(
        (
            cell(lag.lag),
            cell(lag.moved.share if lag.moved else None, percent, "not recorded"),
            cell(lag.moved.p if lag.moved else None, decimal, "not recorded"),
            cell(lag.across, decimal),
            cell(lag.ceiling, decimal),
            cell(lag.drift, change),
            cell(_raw(lag), decimal, _lack(lag)),
            cell(lag.unevenness, change, _lack(lag)),
            cell(lag.drift.n, count),
            cell(lag.comparisons, count),
            cell(lag.window_pairs, count),
            cell(lag.jaccard, decimal),
            cell(lag.variance, decimal),
        )
        for lag in curve.lags
    )
    support = (
        f"top {drift.top_k}, at least {drift.min_support} occurrences of a pair in each half of both windows; "
        "whole windows and variance: in both whole windows"
    )
    return Grid(f"By {curve.ranking}: {support}", columns, rows)


def _raw(lag: Lag) -> float | None:
    """The noise ceiling before the correction for windows of unequal volume."""
    return None if lag.ceiling.value is None or lag.unevenness is None else lag.ceiling.value + lag.unevenness


def _lack(lag: Lag) -> str:
    return NOT_ENOUGH if lag.ceiling.value is None else "not recorded"


def stale(content: Content) -> Section:
    found = content.staleness
    shown = found is not None and known([point.same_list for point in found.points])
    return Section(
        "stale",
        "Do retrieved facts go stale?",
        "Staleness",
        "A RAG prompt names a pair's most frequent successors. How long do they stay the most frequent?",
        STALE,
        tuple(_stale_plots(found)) if found and shown else (),
        tuple(_stale_grids(found)) if found and found.points else (),
        found.missing if found else unmeasured("drift"),
        sources(content, "staleness"),
    )


def _stale_plots(found: Staleness) -> list[Plot]:
    titles = ("Same list: the same successors in the same order", "Same set: the same successors in any order")
    bands = "Share of pairs whose top k are still the same, with 95 % intervals over pairs."
    figures = plots.stale_curves(found)
    names = ("stale-list", "stale-set")
    return [plot(figure, name, title, bands) for figure, name, title in zip(figures, names, titles, strict=True)]


def _stale_grids(found: Staleness) -> list[Grid]:
    depths = sorted({point.top_k for point in found.points})
    by = {(point.days, point.top_k): point for point in found.points}
    about = (
        f"against {day(found.retrieved_at)}, windows of {found.window_days} days, "
        f"n = {found.pairs:,} pairs with at least {found.min_support} occurrences"
    )
    grids = []
    for name, of in (("Same list", plots.of_list), ("Same set", plots.of_set)):
        rows = tuple(
            (cell(days), *(cell(of(by[days, k]) if (days, k) in by else None, percent) for k in depths))
            for days in sorted({point.days for point in found.points})
        )
        grids.append(Grid(f"{name}: {about}", ("days after", *(f"k = {k}" for k in depths)), rows))
    return grids
