"""What a section of the page consists of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from driftline.interests.metrics.estimates import Estimate
from driftline.report import plot_style
from driftline.report.content import Content, Provenance
from driftline.report.words import interval, lacking

NOT_ENOUGH = "not enough data"


@dataclass(frozen=True)
class Cell:
    """A cell of a grid. `under`: the interval, in small print. `words`: no number, but why there is none."""

    text: str
    under: str = ""
    words: bool = False


@dataclass(frozen=True)
class Grid:
    """A table. Its first `words` columns are no numbers; `marked` is the row of what is reported on."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    marked: int | None = None
    folded: bool = False


@dataclass(frozen=True)
class Plot:
    svg: Markup
    title: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A section of the page. `terms`: each number's definition. `missing`: what could not be shown, and why."""

    id: str
    title: str
    short: str
    lead: str
    terms: tuple[tuple[str, str], ...]
    plots: tuple[Plot, ...] = ()
    grids: tuple[Grid, ...] = ()
    missing: tuple[str, ...] = ()
    sources: tuple[Provenance, ...] = ()


def plot(figure: Figure, name: str, title: str, caption: str, wide: bool = False) -> Plot:
    """Draws a figure as SVG. `name`: unique on the page. Title and caption are also what a screen reader says of the plot."""
    return Plot(plot_style.svg(figure, name, f"{title}. {caption}"), title, caption, wide)


def cell(value: Any, shown: Callable[[Any], str] = str, lack: str = NOT_ENOUGH) -> Cell:
    """An estimate with its interval, or a plain value; None in the words of `lack`."""
    if isinstance(value, Estimate):
        if value.value is None:
            return Cell(lacking(value.n), words=True)
        return Cell(shown(value.value), interval(value, shown))
    return Cell(lack, words=True) if value is None else Cell(shown(value))


def sources(content: Content, *kinds: str) -> tuple[Provenance, ...]:
    return tuple(source for source in content.sources if source.kind in kinds)


def unmeasured(run: str) -> tuple[str, ...]:
    return (f"Not measured: run `driftline evaluate {run}`.",)


def known(estimates: Sequence[Estimate]) -> bool:
    return any(e.value is not None for e in estimates)
