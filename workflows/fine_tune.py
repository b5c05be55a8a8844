"""The slow update: a monthly LoRA fine-tune, and the transition table that the new model answers (paper §2.2)."""

from dataclasses import replace

from temporalio import workflow

from driftline.contracts import (
    AnswerPairs,
    CurateSamples,
    CurateValidation,
    FineTuneInput,
    RenderPrompts,
    RunOutcome,
    Train,
    ValidationRef,
)
from driftline.workflows import policies
from driftline.workflows.candidate import CandidateWorkflow, nominal_time

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.prompts import PromptActivities
    from driftline.activities.samples import SampleActivities
    from driftline.activities.training import TrainingActivities
    from driftline.interests.windows import fitting, split


@workflow.defn
class FineTune(CandidateWorkflow):
    @workflow.run
    async def run(self, request: FineTuneInput) -> RunOutcome:
        async with self.tells_failure(request.channel):
            return await self._run(request)

    async def _run(self, request: FineTuneInput) -> RunOutcome:
        nominal = nominal_time(request.nominal)
        windows = split(nominal, request.windows)
        self.enter("counting", nominal=nominal)
        # Histories from before counts had a say have "llm" in their input, and so the same steps as then.
        if request.answers == "counts":
            return await self.answer_from_counts("fine_tune", request, nominal)
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        cluster_set = await self.assigned(request.source, request.clusters, cluster_set)

        # Histories from before there was a validation window have none in their input, and so the same steps as then.
        spans = [windows.train, windows.test] + ([windows.validation] if windows.validation else [])
        if request.answers == "blend":
            spans = [windows.train, windows.test, *fitting(windows)]
        counts, test_counts, *validation_counts = await self.count(
            request.source,
            request.sequences,
            request.counting,
            cluster_set.version,
            *spans,
            assignment=cluster_set.assignment,
        )
        blended = None
        if request.answers == "blend":
            validation_window, history = validation_counts
            blended = AnswerPairs("blend", history.version, counts.version, validation_window.version)
        prompts = await workflow.execute_activity_method(
            PromptActivities.render_prompts, RenderPrompts(cluster_set.version), **policies.compute
        )
        while True:
            attempt = self.status_now.attempt
            self.enter("curating")
            curated = CurateSamples(counts.version, request.samples, request.retrieval)
            samples = await workflow.execute_activity_method(SampleActivities.curate_samples, curated, **policies.compute)
            validation: ValidationRef | None = None
            if validation_counts:
                held_out = CurateValidation(validation_counts[0].version, curated)
                validation = await workflow.execute_activity_method(
                    SampleActivities.curate_validation, held_out, **policies.compute
                )
            self.enter("training")
            # Another attempt with the same seed would make the same adapter again.
            recipe = replace(request.training, seed=request.training.seed + attempt - 1)
            train = Train(samples, recipe, curated, self.run_ids(), request.generation.engine, validation)
            model = await workflow.execute_activity_method(TrainingActivities.train, train, **policies.train)
            table = await self.make_table(
                "fine_tune", nominal, counts.version, model, prompts, request.generation, blended=blended
            )
            outcome = await self.conclude(table, model, test_counts.version, request, windows)
            if outcome is not None:
                return outcome
