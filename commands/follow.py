"""Draws a running workflow: a line for each stage, and a bar with time left where a child process reports steps."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from commands.output import cell, console
from contracts import Progress
from workflows.attributes import STAGE

POLL = 1.0
SAY_EVERY = 10.0
"""Seconds between lines where there is no terminal to draw on."""


async def follow(handle: WorkflowHandle[Any, Any], quiet: bool = False) -> bool:
    """Draw until the workflow ends (True) or waits for a review (False)."""
    with _Drawing(quiet) as drawing:
        while True:
            description = await handle.describe()
            stage = description.typed_search_attributes.get(STAGE) or "starting"
            if description.status != WorkflowExecutionStatus.RUNNING:
                return True
            if stage == "review":
                return False
            progress, trouble = await _pending(handle, description)
            drawing.show(stage, progress, trouble)
            await asyncio.sleep(POLL)


async def _pending(handle: WorkflowHandle[Any, Any], description: Any) -> tuple[Progress | None, str]:
    """The newest heartbeat of the running step, and what its last attempt failed with."""
    progress, trouble = None, ""
    for pending in description.raw_description.pending_activities:
        if pending.HasField("heartbeat_details") and pending.heartbeat_details.payloads:
            (progress,) = await description.data_converter.decode(list(pending.heartbeat_details.payloads)[:1], [Progress])
        if pending.attempt > 1 and pending.HasField("last_failure"):
            why = pending.last_failure.message.partition("\n")[0]
            trouble = f"attempt {pending.attempt}, after: {why[:120]}"
    return progress, trouble


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
            MofNCompleteColumn(),
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
        self._finish()
        self.bars.stop()

    def show(self, stage: str, progress: Progress | None, trouble: str) -> None:
        step = progress or Progress(stage, 0, 0)
        name, done, total, note = step.stage, step.done, step.total or None, step.note
        if name != self.name:
            self._finish()
            self.name = name
            self.task = self.bars.add_task(name, total=total, note=note)
        if self.task is not None:
            self.bars.update(self.task, completed=done, total=total, note=note)
        if trouble and trouble != self.trouble and not self.quiet:
            self.trouble = trouble
            console.print(f"[yellow]{name}: {cell(trouble)}[/]", highlight=False)
        if not self.quiet and not console.is_terminal and time.monotonic() - self.said >= SAY_EVERY:
            self.said = time.monotonic()
            console.print(f"{name} {done}/{total} {note}" if total else f"{name} …", highlight=False, markup=False)

    def _finish(self) -> None:
        if self.task is not None:
            total = self.bars.tasks[self.task].total or 1
            self.bars.update(self.task, completed=total, total=total)
            self.bars.stop_task(self.task)
