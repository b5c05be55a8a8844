"""How every plot looks, and how a matplotlib figure becomes an inline SVG that is legible on light and on dark pages.

Each colour is drawn as a hex value that nothing else uses, then replaced by a custom property of the page's style sheet.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

NAMES = ("ink", "muted", "grid", "paper", "series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
INK, MUTED, GRID, PAPER, *SERIES = (f"#fe01{number:02x}" for number in range(len(NAMES)))
MARKERS = ("o", "s", "D", "^", "v", "P")
TEXT = 11
"""Font size in points. On a wide page a point of a plot is 1.2 pixels."""
CHARACTER = 0.58 * TEXT
"""Width of a character in points, generously."""

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "driftline",
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": TEXT,
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": TEXT,
    "axes.titlelocation": "left",
    "axes.titlecolor": MUTED,
    "axes.titlepad": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "lines.solid_capstyle": "round",
    "timezone": "UTC",
}
_lock = Lock()


@dataclass(frozen=True)
class Label:
    """What is written beside the end of a line, at `y` in data units."""

    text: str
    y: float
    colour: str


@contextmanager
def drawing() -> Iterator[None]:
    """matplotlib's settings belong to the process: whoever draws holds them for that time."""
    with _lock, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many points."""
    return Figure(figsize=(width / 72, height / 72), facecolor="none")


def margins(figure: Figure, left: float, right: float, top: float, bottom: float, **between: float) -> None:
    """Room around the axes, in points."""
    width, height = (side * 72 for side in figure.get_size_inches())
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, **between)


def label_ends(axes: Axes, labels: Sequence[Label], gap: float = 1.3 * TEXT) -> None:
    """Write labels right of the axes, each as near its line's end as the others allow, with a hair line to where that is."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    height = axes.get_position().height * figure.get_figheight() * 72
    bottom, top = axes.get_ylim()
    wanted = [(label.y - bottom) / (top - bottom) * height for label in labels]
    places = spread(wanted, gap, height)
    crowded = any(abs(place - ideal) > 3 for place, ideal in zip(places, wanted, strict=True))
    line = {"arrowstyle": "-", "lw": 0.6, "shrinkA": 1, "shrinkB": 3}
    for label, ideal, place in zip(labels, wanted, places, strict=True):
        axes.annotate(
            label.text,
            xy=(1, label.y),
            xycoords=("axes fraction", "data"),
            xytext=(16 if crowded else 8, place - ideal),
            textcoords="offset points",
            va="center_baseline",
            color=label.colour,
            annotation_clip=False,
            arrowprops=line | {"color": label.colour} if crowded else None,
        )


def spread(wanted: Sequence[float], gap: float, length: float) -> list[float]:
    """The places nearest to those wanted that are `gap` apart and, where there is room, between 0 and `length`."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, list[int]]] = []  # start, members
    for i in order:
        blocks.append((_within(wanted[i], 0, length), [i]))
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0] + gap * len(blocks[-2][1]):
            members = blocks[-2][1] + blocks[-1][1]
            middle = sum(wanted[m] - gap * at for at, m in enumerate(members)) / len(members)
            blocks[-2:] = [(_within(middle, 0, length - gap * (len(members) - 1)), members)]
    places = [0.0] * len(wanted)
    for start, members in blocks:
        for at, member in enumerate(members):
            places[member] = start + gap * at
    return places


def svg(figure: Figure, name: str, label: str) -> Markup:
    """The figure as an element of the page.

    Args:
        name: unique on the page; every id in the element begins with it.
        label: what a screen reader says.
    """
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(out, format="svg", metadata=nothing, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)
    box = re.search(r'viewBox="[^"]+"', text)
    assert box is not None
    element = f'<svg {box.group()} role="img" aria-label="{escape(label)}">'
    text = re.sub(r"<svg[^>]+>", lambda _: element, text, count=1)
    text = text.replace("xlink:href", "href")
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", text)
    text = re.sub(r' transform="rotate\(-0 [^"]+\)"', "", text)
    for number, colour in enumerate(NAMES):
        text = text.replace(f"#fe01{number:02x}", f"var(--{colour})")
    return Markup(text.strip())


def _within(value: float, low: float, high: float) -> float:
    return max(low, min(value, max(low, high)))
