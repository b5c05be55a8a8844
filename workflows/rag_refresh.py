"""The fast update: the newest approved model answers every pair again, with what users did last in its prompts (paper §2.3).
Or counts answer, or both together."""

from temporalio import workflow

from driftline.contracts import AnswerPairs, FindModel, RagRefreshInput, RenderPrompts, RunOutcome
from driftline.workflows import policies
from driftline.workflows.candidate import CandidateWorkflow, nominal_time

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.models import ModelActivities
    from driftline.activities.prompts import PromptActivities
    from driftline.interests.windows import before, fitting, split


@workflow.defn
class RagRefresh(CandidateWorkflow):
    @workflow.run
    async def run(self, request: RagRefreshInput) -> RunOutcome:
        async with self.tells_failure(request.channel):
            return await self._run(request)

    async def _run(self, request: RagRefreshInput) -> RunOutcome:
        nominal = nominal_time(request.nominal)
        windows = split(nominal, request.windows)
        self.enter("counting", nominal=nominal)
        # Histories from before counts had a say have "llm" in their input, and so the same steps as then.
        if request.answers == "counts":
            return await self.answer_from_counts("rag", request, nominal)
        model = await workflow.execute_activity_method(
            ModelActivities.newest_approved, FindModel(nominal, request.cluster_set), **policies.record
        )
        assignment = None
        if workflow.patched("newest-assignment"):
            cluster_set = await workflow.execute_activity_method(
                ClusterActivities.resolve_cluster_set, model.cluster_set, **policies.record
            )
            assignment = (await self.assigned(request.source, request.clusters, cluster_set)).assignment

        trend = [before(windows.train)] if request.retrieval.similarity == "trend" else []
        fit = fitting(windows) if request.answers == "blend" else ()
        while True:
            counts, test_counts, *more = await self.count(
                *(request.source, request.sequences, request.counting, model.cluster_set),
                *(windows.train, windows.test, *trend, *fit),
                assignment=assignment,
            )
            self.enter("retrieving")
            asked = RenderPrompts(model.cluster_set, request.retrieval, counts.version, more[0].version if trend else None)
            prompts = await workflow.execute_activity_method(PromptActivities.render_prompts, asked, **policies.compute)
            blended = AnswerPairs("blend", more[-1].version, counts.version, more[-2].version) if fit else None
            table = await self.make_table(
                "rag", nominal, counts.version, model, prompts, request.generation, request.retrieval, blended
            )
            outcome = await self.conclude(table, model, test_counts.version, request, windows)
            if outcome is not None:
                return outcome
            self.enter("counting")
