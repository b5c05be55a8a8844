"""Small plots as inline SVG. Colours are classes of the style sheet: a page may hold no style of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 320, 116
LEFT, RIGHT, TOP, BOTTOM = 6, 8, 14, 18


@dataclass(frozen=True)
class PlotLine:
    """One curve; `None`: not measured there. `style`: a class of the style sheet, `a` to `e`."""

    name: str
    values: Sequence[float | None]
    style: str


@dataclass(frozen=True)
class Bar:
    name: str
    value: float | None
    style: str
    low: float | None = None
    """A lower bound, drawn as a tick."""


@dataclass(frozen=True)
class Point:
    """A point of a plot. `low`, `high`: an interval, drawn through it. `filled`: nothing beats it."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    filled: bool


@dataclass(frozen=True)
class Trail:
    """Points in their order, joined."""

    name: str
    points: Sequence[Point]
    style: str


def lines(
    title: str, ticks: Sequence[str], curves: Sequence[PlotLine], shown: str = "percent", marks: Mapping[int, str] | None = None
) -> Markup:
    """Curves over the same places from left to right.

    Args:
        ticks: the name of each place.
        shown: `percent` | `number`: how values are written.
        marks: what happened at a place, drawn as a line through it.
    """
    known = [value for curve in curves for value in curve.values if value is not None]
    if not known:
        return Markup('<p class="empty">not measured</p>')
    low, high = min([*known, 0.0] if shown == "percent" else known), max(known)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = low if low == 0 else low - margin, high + margin

    def x(place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place / (len(ticks) - 1) if len(ticks) > 1 else 0.5)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    parts = [
        Markup('<line class="axis" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(LEFT, WIDTH - RIGHT, y=HEIGHT - BOTTOM),
        Markup('<text class="tick" x="{}" y="{}">{}</text>').format(LEFT, HEIGHT - 5, ticks[0]),
    ]
    parts.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(LEFT, 9, write(max(known), shown)))
    if len(ticks) > 1:
        parts.append(Markup('<text class="tick end" x="{}" y="{}">{}</text>').format(WIDTH - RIGHT, HEIGHT - 5, ticks[-1]))
    for place, said in (marks or {}).items():
        line = '<line class="marked" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{}"><title>{} {}</title></line>'
        parts.append(Markup(line).format(HEIGHT - BOTTOM, ticks[place], said, x=x(place)))
    for curve in curves:
        places = [(x(i), y(value), i, value) for i, value in enumerate(curve.values) if value is not None]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in places)
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(curve.style, path))
        if len(places) <= 60:
            dot = '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.6"><title>{} {}: {}</title></circle>'
            parts += [Markup(dot).format(curve.style, px, py, curve.name, ticks[i], write(v, shown)) for px, py, i, v in places]
    return _drawing(title, WIDTH, HEIGHT, parts)


def trails(title: str, of: str, found: Sequence[Trail]) -> Markup:
    """Shares against a number, which is `of` something."""
    points = [point for trail in found for point in trail.points]
    known = [value for point in points for value in (point.low, point.y, point.high) if value is not None]
    low, high, most = min(known), max(known), max(point.x for point in points)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return LEFT + 4 + (WIDTH - LEFT - RIGHT - 8) * value / (most or 1.0)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM - 6) * (1 - (value - low) / span)

    base = HEIGHT - BOTTOM
    parts = [
        Markup('<line class="axis" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(LEFT, WIDTH - RIGHT, y=base),
        Markup('<text class="tick" x="{}" y="{}">0</text>').format(LEFT, HEIGHT - 5),
        Markup('<text class="tick end" x="{}" y="{}">{} {}</text>').format(WIDTH - RIGHT, HEIGHT - 5, write(most, "number"), of),
        Markup('<text class="tick" x="{}" y="9">{} to {}</text>').format(LEFT, write(low, "percent"), write(high, "percent")),
    ]
    for trail in found:
        path = " ".join(f"{x(point.x):.1f},{y(point.y):.1f}" for point in trail.points)
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(trail.style, path))
        for point in trail.points:
            if point.low is not None and point.high is not None:
                bar = '<line class="line {}" x1="{x:.1f}" x2="{x:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
                parts.append(Markup(bar).format(trail.style, y(point.low), y(point.high), x=x(point.x)))
            hollow = "" if point.filled else " hollow"
            dot = '<circle class="dot {}{}" cx="{:.1f}" cy="{:.1f}" r="3.6"><title>{}, {}: {}</title></circle>'
            said = (trail.name, point.name, write(point.y, "percent"))
            parts.append(Markup(dot).format(trail.style, hollow, x(point.x), y(point.y), *said))
    return _drawing(title, WIDTH, HEIGHT, parts)


def newest(curve: PlotLine, shown: str) -> str:
    """The last value of a curve, as it is written."""
    known = [value for value in curve.values if value is not None]
    return write(known[-1], shown) if known else ""


def bars(title: str, rows: Sequence[Bar], gate: float | None = None) -> Markup:
    """Shares as bars, one below the other, with the gate as a line through them."""
    known = [bar.value for bar in rows if bar.value is not None]
    top = max([*known, gate or 0.0, 1e-9]) * 1.12
    width, row, label = 460, 26, 170
    height = row * len(rows) + 4

    def x(value: float) -> float:
        return label + (width - label - 62) * value / top

    parts = []
    for index, bar in enumerate(rows):
        middle = row * index + row / 2
        parts.append(Markup('<text class="label" x="0" y="{:.1f}">{}</text>').format(middle + 4, bar.name))
        if bar.value is not None:
            shape = '<rect class="bar {}" x="{}" y="{:.1f}" width="{:.1f}" height="14" rx="2"/>'
            parts.append(Markup(shape).format(bar.style, label, middle - 7, max(x(bar.value) - label, 1)))
        if bar.low is not None:
            tick = '<line class="low" x1="{x:.1f}" x2="{x:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
            parts.append(Markup(tick).format(middle - 10, middle + 10, x=x(bar.low)))
        said = write(bar.value, "percent") if bar.value is not None else "not measured"
        parts.append(
            Markup('<text class="value" x="{:.1f}" y="{:.1f}">{}</text>').format(x(bar.value or 0) + 6, middle + 4, said)
        )
    if gate is not None:
        line = '<line class="gate" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{}"><title>gate {}</title></line>'
        parts.append(Markup(line).format(height, write(gate, "percent"), x=x(gate)))
    return _drawing(title, width, height, parts)


def write(value: float, shown: str) -> str:
    if shown == "percent":
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _drawing(title: str, width: int, height: int, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, title)
    return head + Markup("").join(parts) + Markup("</svg>")
