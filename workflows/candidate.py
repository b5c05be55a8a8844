"""What both updates share: a candidate is mapped, stored, judged, reviewed if a gate stops it, and published."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeKey
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from driftline.contracts import (
    AnswerPairs,
    Evaluate,
    Evaluation,
    FineTuneInput,
    Gates,
    Generation,
    Kind,
    MeasureQuality,
    ModelRef,
    Notification,
    OpenReview,
    Outcome,
    PromptsRef,
    Publish,
    RagRefreshInput,
    Retrieval,
    RunIds,
    RunOutcome,
    RunStatus,
    StoreTable,
    Supersede,
    TableRef,
    VerdictReply,
    WriteReport,
    note,
    parse_verdict,
)
from driftline.workflows import policies
from driftline.workflows.attributes import TABLE
from driftline.workflows.long_run import LongRun
from driftline.workflows.notifications import tell
from driftline.workflows.review import ReviewState, review_id

with workflow.unsafe.imports_passed_through():
    from driftline.activities.blend import BlendActivities
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.evaluation import EvaluationActivities
    from driftline.activities.measurements import MeasurementActivities
    from driftline.activities.publication import PublicationActivities
    from driftline.activities.reports import ReportActivities
    from driftline.activities.reviews import ReviewActivities
    from driftline.activities.tables import TableActivities
    from driftline.interests.windows import Split, fitting, split

_scheduled = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


def nominal_time(given: datetime | None) -> datetime:
    """Midnight UTC that ends the run's data: from the caller, else from the schedule, so that a late run sees the same log."""
    info = workflow.info()
    time = given or info.typed_search_attributes.get(_scheduled) or info.start_time
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


class CandidateWorkflow(LongRun):
    """The part of a workflow that answers engineers, and takes a candidate from its prompts to its end."""

    def __init__(self) -> None:
        self.kind: Kind = "fine_tune"
        self.review = ReviewState()
        self.status_now = RunStatus(stage="starting", attempt=1)

    @workflow.query
    def status(self) -> RunStatus:
        """Stage, attempt, candidate and evidence; the open review; verdicts that were ignored, and why."""
        waits = self.review.waits
        return replace(
            self.status_now,
            review_id=waits.review_id if waits else None,
            gate_id=waits.review_id if waits else None,
            expires_at=waits.expires_at if waits else None,
            ignored_verdicts=tuple(self.review.ignored),
        )

    @workflow.update
    async def verdict(self, raw: Any) -> VerdictReply:
        """The main door of a review: answers whether the verdict was accepted, and why not."""
        return await self.review.submit(raw)

    @verdict.validator
    def check_verdict(self, raw: Any) -> None:
        verdict = parse_verdict(raw)
        if isinstance(verdict, str):
            raise ValueError(verdict)

    @workflow.signal(dynamic=True)
    async def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """The second door, for Temporal's UI and `temporal workflow signal`. It takes anything: a signal that a handler cannot
        take is dropped with a log line only, or fails the run's every task from then on."""
        await self.review.signalled(name, args)

    def enter(self, stage: str, **facts: Any) -> None:
        """Says where the run is: in the status query, too."""
        self.status_now = replace(self.status_now, stage=stage, **facts)
        super().enter(stage, **facts)

    async def make_table(
        self,
        kind: Kind,
        nominal: datetime,
        counts: int,
        model: ModelRef,
        prompts: PromptsRef,
        generation: Generation,
        retrieval: Retrieval | None = None,
        blended: AnswerPairs | None = None,
    ) -> TableRef:
        """Bulk inference over every ordered pair, stored as a version; `blended`: after the counts had their say."""
        self.kind = kind
        self.enter("mapping")
        generation = generation.scored() if blended else generation
        mapping = await self.answer(model, prompts, generation)
        request = StoreTable(kind, nominal, counts, model.version, prompts, mapping, generation, self.run_ids(), retrieval)
        if blended:
            return await self._blend(request, replace(blended, mapping=mapping, model=model.version))
        return await self._store(request)

    async def make_table_of_counts(self, kind: Kind, nominal: datetime, counted: AnswerPairs) -> TableRef:
        """The counting model's answer to every ordered pair, stored as a version: no LLM is asked."""
        self.kind = kind
        return await self._blend(StoreTable(kind, nominal, counted.counts, None, None, None, None, self.run_ids()), counted)

    async def answer_from_counts(self, kind: Kind, request: FineTuneInput | RagRefreshInput, nominal: datetime) -> RunOutcome:
        """The whole run of a table of counts: no model, no prompts, no LLM."""
        windows = split(nominal, request.windows)
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        cluster_set = await self.assigned(request.source, request.clusters, cluster_set)
        while True:
            known, test, validation, counts = await self.count(
                *(request.source, request.sequences, request.counting, cluster_set.version),
                *(windows.train, windows.test, *fitting(windows)),
                assignment=cluster_set.assignment,
            )
            counted = AnswerPairs("counts", counts.version, known.version, validation.version)
            table = await self.make_table_of_counts(kind, nominal, counted)
            outcome = await self.conclude(table, None, test.version, request, windows)
            if outcome is not None:
                return outcome
            self.enter("counting")

    async def _blend(self, request: StoreTable, asked: AnswerPairs) -> TableRef:
        self.enter("answering")
        if workflow.patched("shrunk-strengths"):
            asked = replace(asked, fitting=2)
        if asked.answers == "blend" and workflow.patched("shrunk-weights"):
            asked = replace(asked, fitting=3)
        answered = await workflow.execute_activity_method(BlendActivities.answer_pairs, asked, **policies.compute)
        return await self._store(replace(request, counts=asked.counts, answered=answered, fitted=asked))

    async def _store(self, request: StoreTable) -> TableRef:
        self.enter("storing")
        table = await workflow.execute_activity_method(TableActivities.store_table, request, **policies.store)
        workflow.upsert_search_attributes([TABLE.value_set(table.version)])
        workflow.logger.info("table stored", extra={"table": table.version, "model": request.model, "counts": request.counts})
        return table

    async def conclude(
        self, table: TableRef, model: ModelRef | None, test_counts: int, request: FineTuneInput | RagRefreshInput, windows: Split
    ) -> RunOutcome | None:
        """Measure, judge, review and publish the candidate. None: an engineer asked for another attempt."""
        quality = await self._measure(table, test_counts, request, windows)
        outcome = await self._settle(table, model, test_counts, request.gates, request.channel, quality)
        if outcome is not None:
            await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome

    async def _measure(
        self, table: TableRef, test_counts: int, request: FineTuneInput | RagRefreshInput, windows: Split
    ) -> int | None:
        """Measure the candidate on the test window, once: the gates judge by it, and so does whoever reviews."""
        if not workflow.patched("measured-before-review"):
            return None
        self.enter("measuring", table=table.version)
        asked = MeasureQuality(
            *(table.version, test_counts, request.source, request.sequences, windows.history, windows.test, self.run_ids()),
            confidence=request.gates.confidence,
            counting=request.counting,
        )
        try:
            quality = await workflow.execute_activity_method(MeasurementActivities.measure_quality, asked, **policies.compute)
        except ActivityError as error:
            # Runs of before the gates judged by it went on without.
            if is_cancelled_exception(error) or workflow.patched("judged-by-measurement"):
                raise
            workflow.logger.warning("table %s has no report: %s", table.version, error.cause)
            return None
        await self._report(table, request.gates)
        return quality.version

    async def _report(self, table: TableRef, gates: Gates) -> None:
        """Say what was measured. A run never fails for want of it."""
        report = WriteReport(table.version, gates)
        try:
            await workflow.execute_activity_method(ReportActivities.write_report, report, **policies.measure)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("table %s has no report: %s", table.version, error.cause)

    async def _settle(
        self, table: TableRef, model: ModelRef | None, test_counts: int, gates: Gates, channel: str, quality: int | None
    ) -> RunOutcome | None:
        """Judge, review and publish the candidate. None: an engineer asked for another attempt."""
        made_by = model.version if model else None
        self.enter("evaluating", table=table.version)
        evaluation = await workflow.execute_activity_method(
            EvaluationActivities.evaluate, Evaluate(table.version, test_counts, gates, quality), **policies.compute
        )
        if self._supersedes(gates) and workflow.patched("supersede-older"):
            newer = Supersede(table.version, channel)
            await workflow.execute_activity_method(ReviewActivities.supersede, newer, **policies.record)
        return await self.decide(table, made_by, evaluation, gates, channel)

    async def decide(
        self,
        table: TableRef,
        made_by: int | None,
        evaluation: Evaluation,
        gates: Gates,
        channel: str,
        always: bool = False,
    ) -> RunOutcome | None:
        """Review and publish a candidate that was judged. `always`: a person decides, also where every gate passed."""
        self.status_now = replace(self.status_now, evaluation=evaluation, table=table.version)
        attempt = self.status_now.attempt
        review = None
        if always or evaluation.failed_gates or evaluation.review_required or gates.review == "always":
            review = self._review(table, evaluation, gates, channel)
            await self.review.open(review)
            self.enter("review")
            decision = await self.review.decide(review, gates)
            if decision == "rerun":
                self.status_now = RunStatus(stage="rerun", attempt=attempt + 1, nominal=self.status_now.nominal)
                return None
            if decision != "approve":
                outcome: Outcome = "aborted" if decision == "abort" else decision
                self.enter(outcome)
                await self._tell_end(outcome, table, channel, review)
                return RunOutcome(outcome, table.version, made_by, attempt)
        self.enter("publishing")
        request = Publish(table.version, channel, self.run_ids(), review.review_id if review else None)
        published = await workflow.execute_activity_method(PublicationActivities.publish, request, **policies.record)
        self.enter(published.outcome)
        await self._tell_end(published.outcome, table, channel, review)
        return RunOutcome(published.outcome, table.version, made_by, attempt)

    @asynccontextmanager
    async def tells_failure(self, channel: str) -> AsyncIterator[None]:
        """Tells people when the run fails. Whoever cancels a run knows it already."""
        try:
            yield
        except (FailureError, ValueError, OverflowError) as error:  # those that make a run fail: see worker.py
            if not is_cancelled_exception(error):
                run, why = self.run_ids(), str(getattr(error, "cause", None) or error)
                await tell(Notification("run_failed", f"run_failed:{run.workflow_id}:{run.run_id}", run, channel, why=note(why)))
            raise

    async def _tell_end(self, outcome: Outcome, table: TableRef, channel: str, review: OpenReview | None) -> None:
        run = self._first_run()
        key = f"{outcome}:{run.workflow_id}:{run.run_id}:{self.status_now.attempt}"
        await tell(Notification(outcome, key, run, channel, table.version, review.review_id if review else None))

    def _first_run(self) -> RunIds:
        """A reset does not change it."""
        info = workflow.info()
        return RunIds(info.workflow_id, info.original_execution_run_id)

    def _supersedes(self, gates: Gates) -> bool:
        return gates.supersede == "always" or (gates.supersede == "refreshes" and self.kind == "rag")

    def _review(self, table: TableRef, evaluation: Evaluation, gates: Gates, channel: str) -> OpenReview:
        run = self._first_run()
        name = review_id(run, self.status_now.attempt, table.version, evaluation)
        return OpenReview(name, table.version, evaluation, run, workflow.now() + gates.expire_after, channel)
