"""What refreshing buys: the hit rates of one model's mappings on held-out days, renewed or not, beside counting (paper §3.1)."""

from temporalio import workflow

from driftline.contracts import Arm, MeasurementInput, MeasurementOutcome
from driftline.workflows.backtest import Backtest

with workflow.unsafe.imports_passed_through():
    from driftline.interests.metrics.arms import (
        COUNTED_FIXED,
        COUNTED_RENEWED,
        FREQUENT_FIXED,
        FREQUENT_RENEWED,
        NO_RAG,
        POPULAR,
        RAG_FIXED,
        RAG_RENEWED,
    )
    from driftline.interests.windows import dates

COMPARED = (
    (RAG_RENEWED, COUNTED_RENEWED),
    (RAG_RENEWED, FREQUENT_RENEWED),
    (RAG_RENEWED, POPULAR),
    (RAG_RENEWED, RAG_FIXED),
    (RAG_RENEWED, NO_RAG),
    (RAG_FIXED, NO_RAG),
    (NO_RAG, COUNTED_FIXED),
    (NO_RAG, FREQUENT_FIXED),
    (FREQUENT_RENEWED, FREQUENT_FIXED),
)


@workflow.defn(name="EvaluateRefresh")
class RefreshMeasurement(Backtest):
    @workflow.run
    async def run(self, request: MeasurementInput) -> MeasurementOutcome:
        self.enter("counting")
        model = await self.find_model(request)
        renewed_at = dates(request.period, request.measures.every)
        counts = [await self.count_before(request, model, date) for date in renewed_at]
        self.enter("mapping")
        without = await self.mapping(request, model, request.period.start, None)
        # One after the other: prompts that have not changed since the date before are not asked again.
        mappings = [await self.mapping(request, model, date, request.retrieval) for date in renewed_at]
        first, every = tuple(renewed_at[:1]), tuple(renewed_at)
        arms = (
            Arm(NO_RAG, "llm", first, (without,)),
            Arm(RAG_FIXED, "llm", first, tuple(mappings[:1])),
            Arm(RAG_RENEWED, "llm", every, tuple(mappings)),
            Arm(POPULAR, "popular", every, counts=tuple(counts)),
            Arm(COUNTED_FIXED, "counts", first, counts=tuple(counts[:1])),
            Arm(COUNTED_RENEWED, "counts", every, counts=tuple(counts)),
            Arm(FREQUENT_FIXED, "frequent", first, counts=tuple(counts[:1])),
            Arm(FREQUENT_RENEWED, "frequent", every, counts=tuple(counts)),
        )
        return await self.measure_hits(request, model, "refresh", arms, COMPARED)
