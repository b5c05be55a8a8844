"""Draws a running workflow: a line for each stage, and a bar with time left where a child process reports steps."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from temporalio.client import WorkflowHandle

from driftline.commands.output import cell, console
from driftline.contracts import Progress
from driftline.operations import runs
from driftline.operations.runs import STARTING

SAY_EVERY = 10.0
"""Seconds between lines where there is no terminal to draw on."""


async def follow(handle: WorkflowHandle[Any, Any], quiet: bool = False) -> bool:
    """Draw until the workflow ends (True) or waits for a review (False)."""
    with _Drawing(quiet) as drawing:
        async for step in runs.follow(handle):
            if step.state == "running":
                drawing.show(step.stage, step.progress, step.trouble)
            elif step.state in ("review", "completed"):
                drawing.finish()
    return step.state != "review"


@dataclass
class _Drawing:
    quiet: bool
    bars: Bars = field(init=False)
    task: TaskID | None = None
    name: str = ""
    said: float = 0.0
    trouble: str = ""

    def __post_init__(self) -> None:
        self.bars = Bars(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]:>9}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left[/]"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            disable=self.quiet or not console.is_terminal,
        )

    def __enter__(self) -> "_Drawing":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, stage: str, progress: Progress | None, trouble: str) -> None:
        step = progress or Progress(stage, 0, 0)
        name, done, total, note = step.stage, step.done, step.total or None, step.note
        if name == STARTING and self.task is not None:  # between two steps
            return
        count = f"{done}/{total}" if total else ""
        if name != self.name:
            self.finish()
            self.name = name
            self.task = self.bars.add_task(name, total=total, note=note, count=count)
        if self.task is not None:
            self.bars.update(self.task, completed=done, total=total, note=note, count=count)
        if trouble and trouble != self.trouble and not self.quiet:
            self.trouble = trouble
            console.print(f"[yellow]{name}: {cell(trouble)}[/]", highlight=False)
        if not self.quiet and not console.is_terminal and time.monotonic() - self.said >= SAY_EVERY:
            self.said = time.monotonic()
            console.print(f"{name} {done}/{total} {note}" if total else f"{name} …", highlight=False, markup=False)

    def finish(self) -> None:
        """The stage is done: fill its bar and stop its clock."""
        if self.task is not None:
            total = self.bars.tasks[self.task].total
            self.bars.update(self.task, completed=total or 1, total=total or 1, count=f"{total:.0f}/{total:.0f}" if total else "")
            self.bars.stop_task(self.task)
