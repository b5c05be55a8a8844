"""How fast interests move, and whether retrieved facts go stale: no LLM is asked (paper §2.1, §3.1)."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from driftline.contracts import (
    ClusterSetRef,
    ListSuccessors,
    MeasureDrift,
    MeasurementInput,
    MeasurementOutcome,
    MeasureStaleness,
    SuccessorsRef,
    Window,
)
from driftline.workflows import policies
from driftline.workflows.long_run import LongRun

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.drift import DriftActivities
    from driftline.interests.windows import consecutive

AT_A_TIME = 2


@workflow.defn(name="EvaluateDrift")
class DriftMeasurement(LongRun):
    @workflow.run
    async def run(self, request: MeasurementInput) -> MeasurementOutcome:
        self.enter("counting")
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        measures, end = request.measures, request.period.end
        windows = consecutive(request.log_start, end, measures)
        lists = await self._list(request, cluster_set, windows, measures.top_k)
        length = timedelta(days=request.windows.days)
        retrieved_at = max(request.log_start + length, end - timedelta(days=max(measures.stale_days)))
        days = [0, *(day for day in measures.stale_days if retrieved_at + timedelta(days=day) <= end)]
        ends = [retrieved_at + timedelta(days=day) for day in days]
        sliding = tuple(Window(end - length, end) for end in ends)
        retrieved, *later = await self._list(request, cluster_set, sliding, max(measures.stale_top_k))

        self.enter("measuring")
        newest = windows[-1] if windows else request.period
        about = self._about(request, cluster_set, newest, measures.top_k)
        asked = MeasureDrift(cluster_set.version, lists, about, measures, self.run_ids())
        drift = await workflow.execute_activity_method(DriftActivities.measure_drift, asked, **policies.compute)
        about = self._about(request, cluster_set, sliding[0], max(measures.stale_top_k))
        stale = MeasureStaleness(cluster_set.version, retrieved, tuple(later), about, measures, self.run_ids())
        staleness = await workflow.execute_activity_method(DriftActivities.measure_staleness, stale, **policies.compute)
        self.enter("measured")
        return MeasurementOutcome((drift, staleness))

    async def _list(
        self, request: MeasurementInput, cluster_set: ClusterSetRef, windows: tuple[Window, ...], top_k: int
    ) -> tuple[SuccessorsRef, ...]:
        """The top successors of each window; a few at a time, so that other runs get their turn on the task queue."""
        turn = asyncio.Semaphore(AT_A_TIME)

        async def listed(window: Window) -> SuccessorsRef:
            async with turn:
                asked = self._about(request, cluster_set, window, top_k)
                return await workflow.execute_activity_method(DriftActivities.list_successors, asked, **policies.compute)

        return tuple(await asyncio.gather(*map(listed, windows)))

    def _about(self, request: MeasurementInput, cluster_set: ClusterSetRef, window: Window, top_k: int) -> ListSuccessors:
        return ListSuccessors(request.source, request.sequences, cluster_set.version, window, top_k, cluster_set.assignment)
