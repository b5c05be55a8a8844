"""How much RAG changes what the LLM answers, beside how much it changes its mind by itself (paper §3.1)."""

from temporalio import workflow

from driftline.contracts import MeasureAnswers, MeasurementInput, MeasurementOutcome, Sampling
from driftline.workflows import policies
from driftline.workflows.backtest import Backtest

with workflow.unsafe.imports_passed_through():
    from driftline.activities.measurements import MeasurementActivities


@workflow.defn(name="EvaluateAnswers")
class AnswersMeasurement(Backtest):
    @workflow.run
    async def run(self, request: MeasurementInput) -> MeasurementOutcome:
        self.enter("counting")
        model = await self.find_model(request)
        day = request.period.start
        counts = await self.count_before(request, model, day)
        plain = await self.prompts(request, model, day, None)
        retrieved = await self.prompts(request, model, day, request.retrieval)
        self.enter("mapping")
        greedy_without = await self.answer(model, plain, request.generation)
        greedy_with = await self.answer(model, retrieved, request.generation)
        # Three seeds: with the same one, the same luck would make answers alike.
        draws = [Sampling(request.measures.temperature, seed) for seed in range(3)]
        sampled_with = await self.answer(model, retrieved, request.generation, draws[0])
        once = await self.answer(model, plain, request.generation, draws[1])
        again = await self.answer(model, plain, request.generation, draws[2])
        self.enter("measuring")
        asked = MeasureAnswers(
            model=model,
            counts=counts,
            prompts=retrieved,
            greedy_with=greedy_with,
            greedy_without=greedy_without,
            sampled_with=sampled_with,
            sampled_without=(once, again),
            temperature=request.measures.temperature,
            retrieval=request.retrieval,
            run=self.run_ids(),
        )
        measured = await workflow.execute_activity_method(MeasurementActivities.measure_answers, asked, **policies.compute)
        self.enter("measured")
        return MeasurementOutcome((measured,), model.version)
