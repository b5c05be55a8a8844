"""What the replays of held-out days share: one model answers under several prompt sets, and each retrieves only from the past."""

from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow

from driftline.contracts import (
    Arm,
    FindModel,
    MappingRef,
    MeasureHits,
    MeasurementInput,
    MeasurementOutcome,
    ModelRef,
    PromptsRef,
    RenderPrompts,
    Retrieval,
    Window,
)
from driftline.workflows import policies
from driftline.workflows.long_run import LongRun

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.measurements import MeasurementActivities
    from driftline.activities.models import ModelActivities
    from driftline.activities.prompts import PromptActivities
    from driftline.interests.windows import before


class Backtest(LongRun):
    def __init__(self) -> None:
        self._counted: dict[Window, int] = {}
        self.assignment: int | None = None
        """Of the model's cluster set: the newest when the run began."""

    async def find_model(self, request: MeasurementInput) -> ModelRef:
        """Finds the model to replay with: the one asked for, or the newest approved one; trained on nothing in the period."""
        asked = FindModel(request.period.start, request.cluster_set, request.model)
        model = await workflow.execute_activity_method(ModelActivities.trained_before, asked, **policies.record)
        if workflow.patched("newest-assignment"):
            cluster_set = await workflow.execute_activity_method(
                ClusterActivities.resolve_cluster_set, model.cluster_set, **policies.record
            )
            self.assignment = cluster_set.assignment
        return model

    async def count_before(self, request: MeasurementInput, model: ModelRef, date: datetime) -> int:
        """The version of the counts that a retrieval of this date reads."""
        return await self._count(request, model, window_before(request, date))

    async def prompts(
        self, request: MeasurementInput, model: ModelRef, date: datetime, retrieval: Retrieval | None
    ) -> PromptsRef:
        """The prompts of a date: without RAG (`retrieval` is None), or retrieved from the window before the date."""
        if retrieval is None:
            asked = RenderPrompts(model.cluster_set)
        else:
            window = window_before(request, date)
            counts = await self._count(request, model, window)
            previous = await self._count(request, model, before(window)) if retrieval.similarity == "trend" else None
            asked = RenderPrompts(model.cluster_set, retrieval, counts, previous)
        return await workflow.execute_activity_method(PromptActivities.render_prompts, asked, **policies.compute)

    async def mapping(
        self, request: MeasurementInput, model: ModelRef, date: datetime, retrieval: Retrieval | None
    ) -> MappingRef:
        return await self.answer(model, await self.prompts(request, model, date, retrieval), request.generation)

    async def _count(self, request: MeasurementInput, model: ModelRef, window: Window) -> int:
        """Each window once."""
        if window not in self._counted:
            asked = (request.source, request.sequences, request.counting, model.cluster_set, window)
            (counts,) = await self.count(*asked, assignment=self.assignment)
            self._counted[window] = counts.version
        return self._counted[window]

    async def measure_hits(
        self,
        request: MeasurementInput,
        model: ModelRef,
        kind: Literal["refresh", "retrieval"],
        arms: tuple[Arm, ...],
        differences: tuple[tuple[str, str], ...],
        missing: tuple[str, ...] = (),
    ) -> MeasurementOutcome:
        """Measures the arms' hit rates on the held-out days, and their differences (names of two arms each)."""
        asked = MeasureHits(
            kind=kind,
            model=model,
            source=request.source,
            sequences=request.sequences,
            period=request.period,
            history=window_before(request, request.period.start),
            arms=arms,
            differences=differences,
            retrieval=request.retrieval,
            every=request.measures.every,
            run=self.run_ids(),
            missing=missing,
            assignment=self.assignment,
        )
        self.enter("measuring")
        measured = await workflow.execute_activity_method(MeasurementActivities.measure_hits, asked, **policies.compute)
        self.enter("measured")
        return MeasurementOutcome((measured,), model.version)


def window_before(request: MeasurementInput, date: datetime) -> Window:
    """The days of log that a retrieval of this date reads."""
    return Window(date - timedelta(days=request.windows.days), date)
