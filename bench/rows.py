"""A row of a benchmark: ours beside a peer's, in the same run."""

from collections.abc import Sequence
from typing import TypedDict

from rich.console import Console
from rich.table import Table


class ResultRow(TypedDict):
    bench: str
    metric: str
    """What is measured, with its unit."""
    ours: float
    peer: float
    peer_name: str
    ratio: float
    """ours / peer, or peer / ours where the goal is how many times better (`≥`)."""
    goal: str
    """Empty where there is none."""
    met: bool | None
    same_answer: bool | None


def row(
    bench: str, metric: str, ours: float, peer: float, peer_name: str, goal: str = "", same_answer: bool | None = None
) -> ResultRow:
    """`goal`: such as `≤ 0.5` or `≥ 7`; a sign alone only says which ratio it is."""
    sign, _, bound = goal.partition(" ")
    ratio = peer / ours if sign == "≥" else ours / peer
    met = None if not bound else ratio >= float(bound) if sign == "≥" else ratio <= float(bound)
    return ResultRow(
        bench=bench,
        metric=metric,
        ours=ours,
        peer=peer,
        peer_name=peer_name,
        ratio=ratio,
        goal=goal if bound else "",
        met=met,
        same_answer=same_answer,
    )


HEADINGS = ("measure", "ours", "peer", "", "ratio", "goal", "met", "same answer")


def cells(row: ResultRow) -> tuple[str, ...]:
    """What HEADINGS name."""
    words = {True: "yes", False: "NO", None: ""}
    return (
        row["metric"],
        number(row["ours"]),
        number(row["peer"]),
        row["peer_name"],
        number(row["ratio"]),
        row["goal"],
        words[row["met"]],
        words[row["same_answer"]],
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(rows: Sequence[ResultRow], console: Console) -> None:
    for bench in dict.fromkeys(row["bench"] for row in rows):
        table = Table(*HEADINGS, title=bench)
        for row in rows:
            if row["bench"] == bench:
                table.add_row(*cells(row))
        console.print(table)
