"""What both updates share: a candidate is mapped, stored, judged, reviewed if a gate stops it, and published."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from contracts import (
    CountsRef,
    CountTriples,
    Evaluate,
    Evaluation,
    Gates,
    GenerateMapping,
    Generation,
    Kind,
    ModelRef,
    OpenGate,
    Outcome,
    PromptsRef,
    Publish,
    Retrieval,
    RunIds,
    RunOutcome,
    RunStatus,
    Sequences,
    Source,
    StoreTable,
    TableRef,
    VerdictReply,
    Window,
)
from workflows import policies, verdicts
from workflows.attributes import STAGE, TABLE
from workflows.review import Review, gate_id

with workflow.unsafe.imports_passed_through():
    from activities.counts import CountsActivities
    from activities.evaluation import EvaluationActivities
    from activities.mapping import MappingActivities
    from activities.publication import PublicationActivities
    from activities.tables import TableActivities

_scheduled = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


def nominal_time(given: datetime | None) -> datetime:
    """Midnight UTC that ends the run's data: from the caller, else from the schedule, so that a late run sees the same log."""
    info = workflow.info()
    time = given or info.typed_search_attributes.get(_scheduled) or info.start_time
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


class CandidateWorkflow:
    """The part of a workflow that answers engineers, and takes a candidate from its prompts to its end."""

    def __init__(self) -> None:
        self.review = Review()
        self.status_now = RunStatus(stage="starting", attempt=1)

    @workflow.query
    def status(self) -> RunStatus:
        """Stage, attempt, candidate and evidence; the open gate; verdicts that were ignored, and why."""
        gate = self.review.gate
        return replace(
            self.status_now,
            gate_id=gate.gate_id if gate else None,
            expires_at=gate.expires_at if gate else None,
            ignored_verdicts=tuple(self.review.ignored),
        )

    @workflow.update
    async def verdict(self, raw: dict[str, Any]) -> VerdictReply:
        """The main door of the gate: answers whether the verdict was accepted, and why not."""
        return await self.review.submit(raw)

    @verdict.validator
    def check_verdict(self, raw: dict[str, Any]) -> None:
        verdict = verdicts.parse(raw)
        if isinstance(verdict, str):
            raise ValueError(verdict)

    @workflow.signal(name="verdict")
    async def verdict_signal(self, raw: Any = None) -> None:
        """The second door, for Temporal's UI and `temporal workflow signal`."""
        await self.review.submit(raw)

    def enter(self, stage: str, **facts: Any) -> None:
        """Say where the run is: in the status query, the search attribute and the log."""
        self.status_now = replace(self.status_now, stage=stage, **facts)
        workflow.upsert_search_attributes([STAGE.value_set(stage)])
        workflow.logger.info("stage %s", stage, extra={"stage": stage, **facts})

    async def count(self, source: Source, sequences: Sequences, cluster_set: int, *windows: Window) -> list[CountsRef]:
        """Count the triples of each window, side by side."""
        asked = [CountTriples(source, sequences, cluster_set, window) for window in windows]
        steps = [workflow.execute_activity_method(CountsActivities.count_triples, a, **policies.compute) for a in asked]
        return await asyncio.gather(*steps)

    async def make_table(
        self,
        kind: Kind,
        nominal: datetime,
        counts: int,
        model: ModelRef,
        prompts: PromptsRef,
        generation: Generation,
        retrieval: Retrieval | None = None,
    ) -> TableRef:
        """Bulk inference over every ordered pair, stored as a version."""
        self.enter("mapping")
        mapping = await workflow.execute_activity_method(
            MappingActivities.generate_mapping, GenerateMapping(prompts, model, generation), **policies.generate
        )
        self.enter("storing")
        request = StoreTable(kind, nominal, counts, model.version, prompts, mapping, generation, self.run_ids(), retrieval)
        table = await workflow.execute_activity_method(TableActivities.store_table, request, **policies.record)
        workflow.upsert_search_attributes([TABLE.value_set(table.version)])
        versions = {"table": table.version, "model": model.version, "counts": counts, "cluster_set": model.cluster_set}
        workflow.logger.info("table stored", extra=versions)
        return table

    async def settle(self, table: TableRef, model: ModelRef, test_counts: int, gates: Gates, channel: str) -> RunOutcome | None:
        """Judge, review and publish the candidate. None: an engineer asked for another attempt."""
        self.enter("evaluating", table=table.version)
        evaluation = await workflow.execute_activity_method(
            EvaluationActivities.evaluate, Evaluate(table.version, test_counts, gates), **policies.compute
        )
        self.status_now = replace(self.status_now, evaluation=evaluation)
        attempt = self.status_now.attempt
        gate = None
        if evaluation.failed_gates or gates.review == "always":
            gate = self._gate(table, evaluation, gates)
            await self.review.open(gate)
            self.enter("review")
            decision = await self.review.decide(gate, gates)
            if decision == "rerun":
                self.status_now = RunStatus(stage="rerun", attempt=attempt + 1, nominal=self.status_now.nominal)
                return None
            if decision != "approve":
                outcome: Outcome = "aborted" if decision == "abort" else "expired"
                self.enter(outcome)
                return RunOutcome(outcome, table.version, model.version, attempt)
        self.enter("publishing")
        request = Publish(table.version, channel, self.run_ids(), gate.gate_id if gate else None)
        published = await workflow.execute_activity_method(PublicationActivities.publish, request, **policies.record)
        self.enter(published.outcome)
        return RunOutcome(published.outcome, table.version, model.version, attempt)

    def run_ids(self) -> RunIds:
        info = workflow.info()
        return RunIds(info.workflow_id, info.run_id)

    def _gate(self, table: TableRef, evaluation: Evaluation, gates: Gates) -> OpenGate:
        run = self.run_ids()
        name = gate_id(run, self.status_now.attempt, table.version, evaluation)
        return OpenGate(name, table.version, evaluation, run, workflow.now() + gates.expire_after)
