"""What every long run shares: it says where it is, counts windows, and lets the LLM answer."""

import asyncio
from dataclasses import replace
from typing import Any

from temporalio import workflow

from driftline.contracts import (
    Clusters,
    ClusterSetRef,
    Counting,
    CountsRef,
    CountTriples,
    GenerateMapping,
    Generation,
    MappingRef,
    ModelRef,
    PromptsRef,
    RunIds,
    Sampling,
    Sequences,
    Source,
    Window,
)
from driftline.workflows import policies
from driftline.workflows.assign_items import assign
from driftline.workflows.attributes import STAGE

with workflow.unsafe.imports_passed_through():
    from driftline.activities.counts import CountsActivities
    from driftline.activities.mapping import MappingActivities


class LongRun:
    def enter(self, stage: str, **facts: Any) -> None:
        """Say where the run is: in the search attribute and the log."""
        workflow.upsert_search_attributes([STAGE.value_set(stage)])
        workflow.logger.info("stage %s", stage, extra={"stage": stage, **facts})

    async def assigned(self, source: Source, clusters: Clusters, cluster_set: ClusterSetRef) -> ClusterSetRef:
        """The set with its newest assignment, which has the catalogue's new items where `clusters.assign` says so."""
        if clusters.assign == "off" or not workflow.patched("assign-items"):
            return cluster_set
        self.enter("assigning")
        return replace(cluster_set, assignment=(await assign(source, clusters, cluster_set.version)).version)

    async def count(
        self,
        source: Source,
        sequences: Sequences,
        counting: Counting,
        cluster_set: int,
        *windows: Window,
        assignment: int | None = None,
    ) -> list[CountsRef]:
        """Count the triples of each window, side by side."""
        asked = [CountTriples(source, sequences, cluster_set, window, counting, assignment) for window in windows]
        steps = [workflow.execute_activity_method(CountsActivities.count_triples, a, **policies.compute) for a in asked]
        return await asyncio.gather(*steps)

    async def answer(
        self, model: ModelRef, prompts: PromptsRef, generation: Generation, sampling: Sampling | None = None
    ) -> MappingRef:
        """Bulk inference over every ordered pair."""
        asked = GenerateMapping(prompts, model, generation, sampling)
        return await workflow.execute_activity_method(MappingActivities.generate_mapping, asked, **policies.generate)

    def run_ids(self) -> RunIds:
        info = workflow.info()
        return RunIds(info.workflow_id, info.run_id)
