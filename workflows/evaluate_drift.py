"""How fast interests move, and whether retrieved facts go stale: no LLM is asked (paper §2.1, §3.1)."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from contracts import EvaluateInput, EvaluateOutcome, ListSuccessors, MeasureDrift, MeasureStaleness, SuccessorsRef, Window
from workflows import policies
from workflows.stages import Stages

with workflow.unsafe.imports_passed_through():
    from activities.drift import DriftActivities

    from activities.clusters import ClusterActivities
    from interests.windows import consecutive


@workflow.defn
class EvaluateDrift(Stages):
    @workflow.run
    async def run(self, request: EvaluateInput) -> EvaluateOutcome:
        self.enter("counting")
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        measures, end = request.measures, request.period.end
        windows = consecutive(request.log_start, end, measures)
        if not windows:
            raise ValueError(
                f"not enough data: n = 0 whole windows between {request.log_start:%Y-%m-%d} and {end:%Y-%m-%d}; "
                "shorten them with measures.window_days"
            )
        lists = await self._list(request, cluster_set.version, windows, measures.top_k)
        length = timedelta(days=request.windows.days)
        retrieved_at = max(request.log_start + length, end - timedelta(days=max(measures.stale_days)))
        days = [0, *(day for day in measures.stale_days if retrieved_at + timedelta(days=day) <= end)]
        ends = [retrieved_at + timedelta(days=day) for day in days]
        sliding = tuple(Window(end - length, end) for end in ends)
        retrieved, *later = await self._list(request, cluster_set.version, sliding, max(measures.stale_top_k))

        self.enter("measuring")
        about = self._about(request, cluster_set.version, windows[-1], measures.top_k)
        asked = MeasureDrift(cluster_set.version, lists, about, measures, self.run_ids())
        drift = await workflow.execute_activity_method(DriftActivities.measure_drift, asked, **policies.compute)
        about = self._about(request, cluster_set.version, sliding[0], max(measures.stale_top_k))
        stale = MeasureStaleness(cluster_set.version, retrieved, tuple(later), about, measures, self.run_ids())
        staleness = await workflow.execute_activity_method(DriftActivities.measure_staleness, stale, **policies.compute)
        self.enter("measured")
        return EvaluateOutcome((drift, staleness))

    async def _list(
        self, request: EvaluateInput, cluster_set: int, windows: tuple[Window, ...], top_k: int
    ) -> tuple[SuccessorsRef, ...]:
        """The top successors of each window, side by side."""
        asked = [self._about(request, cluster_set, window, top_k) for window in windows]
        steps = [workflow.execute_activity_method(DriftActivities.list_successors, a, **policies.compute) for a in asked]
        return tuple(await asyncio.gather(*steps))

    def _about(self, request: EvaluateInput, cluster_set: int, window: Window, top_k: int) -> ListSuccessors:
        return ListSuccessors(request.source, request.sequences, cluster_set, window, top_k)
