"""Which retrieval is best here: granularity, similarity and length of the retrieved line, by hit rate (paper §2.3)."""

from dataclasses import replace
from itertools import product

from temporalio import workflow

from driftline.contracts import Arm, MeasurementInput, MeasurementOutcome, Retrieval, Similarity
from driftline.workflows.backtest import Backtest, window_before

with workflow.unsafe.imports_passed_through():
    from driftline.interests.metrics.arms import FREQUENT_FIXED, NO_RAG, retrieval_arm
    from driftline.interests.windows import before


@workflow.defn(name="EvaluateRetrieval")
class RetrievalMeasurement(Backtest):
    @workflow.run
    async def run(self, request: MeasurementInput) -> MeasurementOutcome:
        self.enter("counting")
        model = await self.find_model(request)
        day = request.period.start
        counts = await self.count_before(request, model, day)
        self.enter("mapping")
        mappings = {NO_RAG: await self.mapping(request, model, day, None)}
        possible, missing = variants(request)
        for variant in possible:
            mappings[retrieval_arm(variant)] = await self.mapping(request, model, day, variant)
        arms = [Arm(name, "llm", (day,), (mapping,)) for name, mapping in mappings.items()]
        arms.append(Arm(FREQUENT_FIXED, "frequent", (day,), counts=(counts,)))
        papers = retrieval_arm(Retrieval())
        compared = tuple((arm.name, papers) for arm in arms if arm.name != papers)
        return await self.measure_hits(request, model, "retrieval", tuple(arms), compared, missing)


def variants(request: MeasurementInput) -> tuple[list[Retrieval], tuple[str, ...]]:
    """The paper's choice first, and what is left out. A global list has one length, `global_triples`."""
    earlier = before(window_before(request, request.period.start))
    similarities: tuple[Similarity, ...] = ("frequency", "trend") if earlier.start >= request.log_start else ("frequency",)
    found = [
        Retrieval(),
        *(
            replace(request.retrieval, granularity="instance", similarity=similarity, top_k=top_k)
            for similarity, top_k in product(similarities, request.measures.retrieval_top_k)
        ),
        *(replace(request.retrieval, granularity="global", similarity=similarity) for similarity in similarities),
    ]
    missing = f"trend: not enough data: the window before begins on {earlier.start:%Y-%m-%d}, before the log does"
    return list({retrieval_arm(variant): variant for variant in found}.values()), () if "trend" in similarities else (missing,)
