"""A panel for each metric of an experiment, as in the paper's Figure 4: relative difference by date, with 95 % intervals."""

from datetime import timedelta

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from driftline.interests.experiments.result import Effect, MetricResult, Result
from driftline.interests.metrics.estimates import Estimate
from driftline.report.plot_style import MUTED, PAPER, SERIES, Label, figure, label_ends, margins
from driftline.report.plots import HALF, STEPS, date_axis, limits, number_of

AS_RELATIVE = FuncFormatter(lambda share, _: f"{100 * share:+.10g} %".replace("-", "−").replace("+0 %", "0"))
SHIFT = 0.18
"""Days that a day's own point stands beside the cumulated one."""


def panel(result: Result, metric: MetricResult) -> Figure:
    """Each day alone (hollow), and all days up to it: its fixed interval in the band that is valid on every day."""
    drawn = figure(HALF, 270)
    axes = drawn.subplots()
    margins(drawn, 56, 84, 22, 40)
    days = [number_of(result.start + timedelta(days=place + 0.5)) for place in range(result.days)]
    colour = SERIES[0] if not metric.guardrail else SERIES[1]
    axes.set_title("treatment over control, relative")
    axes.axhline(0, color=MUTED, lw=1)
    cumulated = [(x, e) for x, e in zip(days, metric.cumulated, strict=True) if e.value is not None]
    for low, high, alpha in (("always_low", "always_high", 0.14), ("low", "high", 0.26)):
        known = [(x, getattr(e, low), getattr(e, high)) for x, e in cumulated if None not in (getattr(e, low), getattr(e, high))]
        if known:
            at, bottom, top = zip(*known, strict=True)
            axes.fill_between(at, bottom, top, color=colour, alpha=alpha, lw=0)
            if len(known) == 1:
                axes.vlines(at, bottom, top, color=colour, lw=1.6 if low == "low" else 0.8)
    if cumulated:
        at, y = zip(*((x, e.value) for x, e in cumulated), strict=True)
        axes.plot(at, y, color=colour, marker="o", ms=4)
        label_ends(axes, [Label("cumulated", y[-1], colour)])
    for x, effect in zip(days, metric.daily, strict=True):
        if effect.value is not None:
            axes.plot([x + SHIFT], [effect.value], color=colour, marker="o", ms=4, mfc=PAPER, mew=1.2, ls="")
            if effect.low is not None and effect.high is not None:
                axes.vlines([x + SHIFT], [effect.low], [effect.high], color=colour, lw=0.8)
    axes.set_ylim(limits([_estimate(e) for e in (*metric.cumulated, *metric.daily)], include=0))
    for number, update in enumerate(result.updates):
        axes.axvline(number_of(update.at), color=MUTED, ls=":", lw=1.2, label="table update" if not number else None)
    date_axis(axes, days)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.yaxis.set_major_formatter(AS_RELATIVE)
    axes.grid(visible=False, axis="x")
    return drawn


def _estimate(effect: Effect) -> Estimate:
    """Estimate that has to be in sight: not the first days' always-valid bounds, which are far away."""
    return Estimate(effect.value, effect.low, effect.high, 0)
