"""What the replays of held-out days share: one model answers under several prompt sets, and each is told only the past."""

from datetime import datetime, timedelta

from temporalio import workflow

from contracts import (
    EvaluateInput,
    FindModel,
    MappingRef,
    MeasureHits,
    MeasurementRef,
    ModelRef,
    PromptsRef,
    RenderPrompts,
    Retrieval,
    Window,
)
from workflows import policies
from workflows.stages import Stages

with workflow.unsafe.imports_passed_through():
    from activities.measurements import MeasurementActivities

    from activities.models import ModelActivities
    from activities.prompts import PromptActivities
    from interests.windows import before


class Trial(Stages):
    async def find_model(self, request: EvaluateInput) -> ModelRef:
        """The newest approved model that has learned from nothing in the period."""
        asked = FindModel(request.period.start, request.cluster_set)
        return await workflow.execute_activity_method(ModelActivities.trained_before, asked, **policies.record)

    async def count_before(self, request: EvaluateInput, model: ModelRef, date: datetime) -> int:
        """The version of the counts that a retrieval of this date reads."""
        (counts,) = await self.count(request.source, request.sequences, model.cluster_set, window_before(request, date))
        return counts.version

    async def prompts(self, request: EvaluateInput, model: ModelRef, date: datetime, retrieval: Retrieval | None) -> PromptsRef:
        """The prompts of a date: without RAG (`retrieval` is None), or told the window before the date."""
        if retrieval is None:
            asked = RenderPrompts(model.cluster_set)
        else:
            window = window_before(request, date)
            windows = (window, before(window)) if retrieval.similarity == "trend" else (window,)
            counts, *previous = await self.count(request.source, request.sequences, model.cluster_set, *windows)
            asked = RenderPrompts(model.cluster_set, retrieval, counts.version, previous[0].version if previous else None)
        return await workflow.execute_activity_method(PromptActivities.render_prompts, asked, **policies.compute)

    async def mapping(self, request: EvaluateInput, model: ModelRef, date: datetime, retrieval: Retrieval | None) -> MappingRef:
        return await self.answer(model, await self.prompts(request, model, date, retrieval), request.generation)

    async def measure_hits(self, asked: MeasureHits) -> MeasurementRef:
        self.enter("measuring")
        measured = await workflow.execute_activity_method(MeasurementActivities.measure_hits, asked, **policies.compute)
        self.enter("measured")
        return measured


def window_before(request: EvaluateInput, date: datetime) -> Window:
    """The days of log that a retrieval of this date reads."""
    return Window(date - timedelta(days=request.windows.days), date)
