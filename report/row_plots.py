"""Plots with one row for each thing compared: a point and its interval, or a bar. The numbers stand beside the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from driftline.interests.metrics.estimates import Estimate
from driftline.report.plot_style import CHARACTER, GRID, INK, MUTED, PAPER, SERIES, figure, margins
from driftline.report.words import duration, interval, lacking, percent, points

WIDTH = 860
ROW = 26
NUMBERS = 176
"""Room on the right for the numbers. All in points."""


@dataclass(frozen=True)
class PlotRow:
    name: str
    estimate: Estimate
    colour: str = INK
    tick: float | None = None
    """Where the paper was."""
    detected: bool = True
    """Of a difference: it is not 0, all that were measured beside it looked at together."""


def forest(rows: Sequence[PlotRow], title: str, differences: bool = True) -> Figure:
    """A point and its 95 % interval in each row. Of differences, those detected are filled."""
    shown = points if differences else percent
    numbers = [_numbers(row.estimate, shown) for row in rows]
    drawn, axes = _frame([row.name for row in rows], numbers, title, unit="" if differences else " %")
    if differences:
        axes.axvline(0, color=MUTED, lw=1.2)
    for place, row in enumerate(rows):
        e = row.estimate
        if e.value is None:
            continue
        _interval(axes, place, e, row.colour)
        axes.plot(
            [100 * e.value], [place], color=row.colour, marker="o", ms=7, mfc=row.colour if row.detected else PAPER, mew=1.8
        )
    ends = [100 * end for row in rows for end in (row.estimate.value, row.estimate.low, row.estimate.high) if end is not None]
    ends += [0.0] if differences else []
    if ends:
        room = 0.06 * (max(ends) - min(ends)) or 0.5
        axes.set_xlim(min(ends) - room, max(ends) + room)
    return drawn


def bars(rows: Sequence[PlotRow], title: str) -> Figure:
    """A bar from 0 and its 95 % interval in each row; the paper's number, where there is one, as a dashed tick."""
    drawn, axes = _frame([row.name for row in rows], [_numbers(row.estimate, percent) for row in rows], title)
    for place, row in enumerate(rows):
        e = row.estimate
        if e.value is not None:
            axes.barh(place, 100 * e.value, height=0.56, color=row.colour, alpha=0.7)
            _interval(axes, place, e, INK)
        if row.tick is not None:
            axes.vlines([100 * row.tick], place - 0.42, place + 0.42, color=INK, lw=1.6, linestyles=(0, (2, 1.4)))
    axes.set_xlim(0, max([1.0, *(100 * (row.estimate.high or row.estimate.value or 0) for row in rows)]) * 1.06)
    return drawn


def stacked(rows: Sequence[tuple[str, Sequence[float]]], parts: Sequence[str], title: str) -> Figure:
    """A bar of several parts in each row, in seconds. Each part has its name in its longest piece, or behind it."""
    totals = [sum(seconds) for _, seconds in rows]
    longest = max([*totals, 1.0])
    unit, length = ("min", 60) if longest >= 120 else ("s", 1)
    drawn, axes = _frame([name for name, _ in rows], [duration(total) for total in totals], f"{title}, {unit}", unit="")
    begins = [0.0] * len(rows)
    for part, name in enumerate(parts):
        lengths = [seconds[part] / length for _, seconds in rows]
        axes.barh(range(len(rows)), lengths, left=begins, height=0.56, color=SERIES[part])
        row = max(range(len(rows)), key=lengths.__getitem__)
        fits = lengths[row] > CHARACTER * len(name) / 400 * longest / length
        if fits:
            axes.text(begins[row] + lengths[row] / 2, row, name, ha="center", va="center_baseline", color=PAPER)
        elif lengths[row]:
            end = (begins[row] + lengths[row], row)
            axes.annotate(name, end, (6, 0), textcoords="offset points", va="center_baseline", color=SERIES[part])
        begins = [begin + more for begin, more in zip(begins, lengths, strict=True)]
    axes.set_xlim(0, longest / length * 1.16)
    return drawn


def _frame(names: Sequence[str], numbers: Sequence[str], title: str, unit: str = " %") -> tuple[Figure, Axes]:
    """Axes with a row for each name, the first on top, and its numbers at the right."""
    height = ROW * len(names) + 54
    drawn = figure(WIDTH, height)
    axes = drawn.subplots()
    margins(drawn, CHARACTER * max(map(len, names), default=0) + 14, NUMBERS, 26, 28)
    axes.set_title(title)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}{unit}".replace("-", "−")))
    for place, text in enumerate(numbers):
        axes.axhline(place, color=GRID, lw=0.7, zorder=0)
        axes.annotate(
            text, (1, place), (12, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center_baseline"
        )
    return drawn, axes


def _interval(axes: Axes, place: int, e: Estimate, colour: str) -> None:
    if e.low is not None and e.high is not None:
        axes.hlines([place], [100 * e.low], [100 * e.high], color=colour, lw=2)


def _numbers(e: Estimate, shown: Callable[[float], str]) -> str:
    if e.value is None:
        return lacking(e.n)
    value, ends = shown(e.value), interval(e, shown)
    unit = " " + value.partition(" ")[2]
    return f"{value.removesuffix(' points')} ({ends.removesuffix(unit)})"
