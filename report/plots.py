"""The plots of the page over lags, days and dates. A point without a value is not drawn; the tables say why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from driftline.interests.metrics.arms import (
    COUNTED_FIXED,
    COUNTED_RENEWED,
    FREQUENT_FIXED,
    FREQUENT_RENEWED,
    NO_RAG,
    POPULAR,
    RAG_FIXED,
    RAG_RENEWED,
)
from driftline.interests.metrics.drift import Curve, Lag
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.staleness import Staleness, StalePoint
from driftline.report.plot_style import CHARACTER, INK, MARKERS, MUTED, PAPER, SERIES, Label, figure, label_ends, margins
from driftline.report.sentences import moved_at

HALF, WHOLE = 416, 860
"""Widths in points: two plots beside each other on a wide page, or one."""
ARM_COLOURS = {
    RAG_RENEWED: SERIES[0],
    RAG_FIXED: SERIES[1],
    NO_RAG: SERIES[2],
    FREQUENT_RENEWED: SERIES[3],
    FREQUENT_FIXED: SERIES[4],
    POPULAR: SERIES[5],
}
COUNTED = (POPULAR, COUNTED_FIXED, COUNTED_RENEWED, FREQUENT_FIXED, FREQUENT_RENEWED)
"""Needs no LLM: dashed."""
MOST_DATES = 5
STEPS = [1, 2, 5, 10]
AS_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.10g} %".replace("-", "−"))


@dataclass(frozen=True)
class Series:
    """Values over x. `kinds`: of the tables they belong to; refreshes are drawn hollow. `marked`: the place that gets a ring."""

    name: str
    x: tuple[float, ...]
    y: tuple[Estimate, ...]
    colour: str
    marker: str = "o"
    style: str = "-"
    kinds: tuple[str, ...] = ()
    marked: int | None = None


def lag_curves(curves: Sequence[Curve], top_k: int) -> list[Figure]:
    """Draws, for each ranking, similarity across windows under its noise ceiling, and how much has moved, on scales of one
    size."""
    own = [limits([e for point in curve.lags for e in (point.across, point.ceiling)]) for curve in curves]
    height = max((high - low for low, high in own), default=1)
    drift = limits([_below(point) for curve in curves for point in curve.lags], include=0)
    middles = [(low + high) / 2 for low, high in own]
    return [
        _lag_curve(curve, top_k, (middle - height / 2, middle + height / 2), drift)
        for curve, middle in zip(curves, middles, strict=True)
    ]


def _below(point: Lag) -> Estimate:
    """The share that has moved; in measurements of before, drift."""
    return point.moved.share if point.moved else point.drift


def _lag_curve(curve: Curve, top_k: int, upper: tuple[float, float], lower: tuple[float, float]) -> Figure:
    drawn = figure(HALF, 360)
    above, below = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    margins(drawn, 48, 104, 22, 40, hspace=0.36)
    lags = tuple(float(point.lag) for point in curve.lags)
    above.set_title(f"Jaccard similarity of top-{top_k} successors")
    above.set_ylim(upper)
    _lines(
        above,
        (
            Series("noise ceiling", lags, tuple(p.ceiling for p in curve.lags), SERIES[1], "s", "--"),
            Series("across windows", lags, tuple(p.across for p in curve.lags), SERIES[0]),
        ),
    )
    below.set_title("share that has moved" if any(point.moved for point in curve.lags) else "drift = ceiling − across")
    below.set_ylim(lower)
    below.axhline(0, color=MUTED, lw=1)
    beyond = {point.lag for point in moved_at([point for point in curve.lags if _below(point).enough])}
    for point in curve.lags:
        _whisker(below, point.lag, _below(point), INK, filled=point.lag in beyond)
    label_ends(below, [Label("no drift", 0, MUTED)])
    below.set_xlabel("lag, windows")
    below.set_xticks(lags)
    below.set_xlim(min(lags, default=0) - 0.5, max(lags, default=1) + 0.5)
    for axes in (above, below):
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}".replace("-", "−")))
        axes.grid(visible=False, axis="x")
    return drawn


def stale_curves(staleness: Staleness) -> list[Figure]:
    """Draws same list and same set: a line for each k over the days after the retrieval date."""
    return [_stale_curve(staleness, of) for of in (of_list, of_set)]


def of_list(point: StalePoint) -> Estimate:
    return point.same_list


def of_set(point: StalePoint) -> Estimate:
    return point.same_set


def _stale_curve(staleness: Staleness, of: Callable[[StalePoint], Estimate]) -> Figure:
    drawn = figure(HALF, 280)
    axes = drawn.subplots()
    margins(drawn, 48, 64, 22, 40)
    axes.set_title("share of pairs")
    axes.set_ylim(0, 1.02)
    series = []
    for place, k in enumerate(sorted({p.top_k for p in staleness.points})):
        points = sorted((p for p in staleness.points if p.top_k == k), key=lambda p: p.days)
        days = tuple(float(p.days) for p in points)
        series.append(Series(f"k = {k}", days, tuple(map(of, points)), SERIES[place % 6], MARKERS[place % 6]))
    _lines(axes, series)
    last = max((p.days for p in staleness.points), default=1)
    axes.set_xlim(0, last * 1.03)
    axes.set_xlabel("days after the retrieval date")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.yaxis.set_major_formatter(AS_PERCENT)
    axes.grid(visible=False, axis="x")
    return drawn


def trajectory(hits: HitRates) -> Figure:
    """Hit rate by day of each arm, and beside it that of the whole period with its interval."""
    drawn = figure(WHOLE, 370)
    daily, whole = drawn.subplots(1, 2, sharey=True, width_ratios=(5, 1))
    longest = max((len(arm.name) for arm in hits.arms), default=0) + len(" 00.0 %")
    margins(drawn, 48, CHARACTER * longest + 24, 22, 40, wspace=0.05)
    days = [number_of(datetime(day.year, day.month, day.day, tzinfo=UTC)) for day in hits.days]
    values = [Estimate(e.value, None, None, e.n) for arm in hits.arms for e in arm.daily]
    low, high = limits([*values, *(arm.rate for arm in hits.arms)])
    labels = []
    for place, arm in enumerate(hits.arms):
        colour, marker = ARM_COLOURS.get(arm.name, SERIES[place % 6]), MARKERS[place % 6]
        known = [(at, e.value) for at, e in zip(days, arm.daily, strict=True) if e.value is not None]
        if known:
            x, y = zip(*known, strict=True)
            daily.plot(x, y, color=colour, ls="--" if arm.name in COUNTED else "-", lw=1.5, marker=marker, ms=3.5)
        if arm.rate.value is not None:
            _whisker(whole, place, arm.rate, colour, marker)
            labels.append(Label(f"{arm.name} {100 * arm.rate.value:.1f} %", arm.rate.value, colour))
    if hits.chance is not None:
        text = f"chance {100 * hits.chance:.1f} %"
        expected = [(at, value) for at, value in zip(days, hits.daily_chance, strict=True) if value is not None]
        lowest = min([hits.chance, *(value for _, value in expected)])
        if low - lowest > 0.5 * (high - low):  # drawn to scale, it would leave no room for what is compared
            daily.annotate(f"↓ {text}", (0, 0), (0, 6), "axes fraction", textcoords="offset points", color=MUTED)
        else:
            low, high = min(low, lowest - 0.05 * (high - low)), max(high, hits.chance)
            daily.plot(*zip(*expected, strict=True), color=MUTED, ls=":", lw=1.2)
            whole.axhline(hits.chance, color=MUTED, ls=":", lw=1.2)
            labels.append(Label(text, hits.chance, MUTED))
    daily.set_ylim(max(low, 0), high)
    label_ends(whole, labels)
    whole.set_xlim(-0.8, len(hits.arms) - 0.2)
    whole.set_xticks([])
    daily.set_title("hit rate by day")
    whole.set_title("whole period")
    date_axis(daily, days)
    for axes in (daily, whole):
        axes.grid(visible=False, axis="x")
    daily.yaxis.set_major_locator(MaxNLocator(7, steps=STEPS))
    daily.yaxis.set_major_formatter(AS_PERCENT)
    return drawn


def over_time(
    series: Sequence[Series], title: str, levels: Sequence[tuple[str, float]] = (), share: bool = True, from_zero: bool = True
) -> Figure:
    """Small multiple over the tables' nominal dates. `levels` are labelled lines."""
    drawn = figure(HALF, 250)
    axes = drawn.subplots()
    margins(drawn, 48, 84, 22, 40)
    axes.set_title(title)
    lines = [Estimate(level, None, None, 0) for _, level in levels]
    low, high = limits([e for s in series for e in s.y] + lines, include=0 if from_zero else None)
    axes.set_ylim(0 if from_zero else low, high)
    for _, level in levels:
        axes.axhline(level, color=MUTED, ls=":", lw=1.2)
    _lines(axes, series, [Label(name, level, MUTED) for name, level in levels])
    date_axis(axes, [x for s in series for x in s.x])
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    if share:
        axes.yaxis.set_major_formatter(AS_PERCENT)
    axes.grid(visible=False, axis="x")
    return drawn


def number_of(date: datetime) -> float:
    """A time as days since 1970."""
    return date.timestamp() / 86_400


def _lines(axes: Axes, series: Sequence[Series], labels: Sequence[Label] = ()) -> None:
    """Each series with its 95 % band, or a whisker where it is one point, and its name at its end."""
    ends = list(labels)
    for s in series:
        known = [(x, e.value) for x, e in zip(s.x, s.y, strict=True) if e.value is not None]
        if not known:
            continue
        x, y = zip(*known, strict=True)
        band = [(x, e.low, e.high) for x, e in zip(s.x, s.y, strict=True) if e.low is not None and e.high is not None]
        if band:
            at, low, high = zip(*band, strict=True)
            axes.fill_between(at, low, high, color=s.colour, alpha=0.16, lw=0)
            if len(band) == 1:
                axes.vlines(at, low, high, color=s.colour, lw=1.6)
        axes.plot(x, y, color=s.colour, ls=s.style, marker=s.marker)
        for place, value, kind in zip(s.x, (e.value for e in s.y), s.kinds, strict=False):
            if kind == "rag" and value is not None:
                axes.plot([place], [value], color=s.colour, marker=s.marker, mfc=PAPER, mew=1.5)
        if s.marked is not None and (value := s.y[s.marked].value) is not None:
            axes.plot([s.x[s.marked]], [value], color=INK, marker="o", ms=12, mfc="none", mew=1.2)
        ends.append(Label(s.name, y[-1], s.colour))
    label_ends(axes, ends)


def _whisker(axes: Axes, x: float, e: Estimate, colour: str, marker: str = "o", filled: bool = True) -> None:
    """A point with its interval."""
    if e.value is None:
        return
    if e.low is not None and e.high is not None:
        axes.vlines([x], [e.low], [e.high], color=colour, lw=1.6)
    axes.plot([x], [e.value], color=colour, marker=marker, mfc=colour if filled else PAPER, mew=1.6, ls="")


def limits(estimates: Sequence[Estimate], include: float | None = None) -> tuple[float, float]:
    """Room for all values and intervals, and some more."""
    ends = [end for e in estimates for end in (e.value, e.low, e.high) if end is not None]
    ends += [] if include is None else [include]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def date_axis(axes: Axes, x: Sequence[float]) -> None:
    """Marks at most five dates, evenly spaced from the first to the last, and the year under them."""
    if not x:
        axes.set_xticks([])
        return
    first, last = min(x), max(x)
    room = 0.04 * (last - first) or 1
    axes.set_xlim(first - room, last + room)
    steps = min(MOST_DATES - 1, int(last - first)) or 1
    ticks = sorted({first + round((last - first) * step / steps) for step in range(steps + 1)})
    dates = [datetime.fromtimestamp(tick * 86_400, UTC) for tick in ticks]
    axes.set_xticks(ticks, [f"{date.day} {date:%b}" for date in dates])
    years = sorted({dates[0].year, datetime.fromtimestamp(last * 86_400, UTC).year})
    axes.set_xlabel("–".join(map(str, years)))
