"""A live experiment: measured every day, until it has had its days or somebody stops it (paper §3.2)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, is_cancelled_exception

from driftline.contracts import (
    EndExperiment,
    ExperimentInput,
    ExperimentOutcome,
    ExperimentRef,
    ExperimentStatus,
    MeasureExperiment,
    RegisterExperiment,
    note,
)
from driftline.workflows import policies
from driftline.workflows.long_run import LongRun

with workflow.unsafe.imports_passed_through():
    from driftline.activities.experiments import ExperimentActivities

PATIENCE = 7
"""Days after the last on which it is still tried to measure it, should its data be late."""


@workflow.defn
class RunExperiment(LongRun):
    def __init__(self) -> None:
        self._stopped = False
        self._status = ExperimentStatus("starting")

    @workflow.query
    def status(self) -> ExperimentStatus:
        return self._status

    @workflow.signal(dynamic=True)
    async def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """Ends the experiment by the signal `stop`. It takes anything, as a review does: an unknown signal changes nothing."""
        if name == "stop":
            self._stopped = True
        else:
            workflow.logger.warning("unknown signal %r: an experiment is ended by 'stop'", name)

    @workflow.run
    async def run(self, request: ExperimentInput) -> ExperimentOutcome:
        registered = RegisterExperiment(request, self.run_ids())
        await workflow.execute_activity_method(ExperimentActivities.register_experiment, registered, **policies.record)
        measured: ExperimentRef | None = None
        wanted, day = request.experiment.days, 0
        while (done := measured.days if measured else 0) < wanted and day < wanted + PATIENCE:
            if not await self._next_day(request, day + 1):
                break
            day = self._whole_days(request)
            measured = await self._measure(request, min(day, wanted)) or measured
        outcome: Literal["completed", "stopped"] = "stopped" if self._stopped and done < wanted else "completed"
        ended = EndExperiment(request.name, outcome, f"measured for {done} of {wanted} days")
        await workflow.execute_activity_method(ExperimentActivities.end_experiment, ended, **policies.record)
        self._enter(outcome)
        return ExperimentOutcome(outcome, done, measured.version if measured else None)

    async def _next_day(self, request: ExperimentInput, day: int) -> bool:
        """Wait until a day can be measured. False: it was stopped before."""
        due = _due(request, day)
        self._enter("waiting", due)
        while not self._stopped and (left := due - workflow.now()) > timedelta(0):
            try:
                await workflow.wait_condition(lambda: self._stopped, timeout=left)
            except TimeoutError:
                continue
        return not self._stopped

    async def _measure(self, request: ExperimentInput, days: int) -> ExperimentRef | None:
        """What cannot be measured today may be tomorrow, when somebody has mended the data: the experiment goes on."""
        self._enter("measuring")
        asked = MeasureExperiment(request, days, self.run_ids())
        try:
            found = await workflow.execute_activity_method(ExperimentActivities.measure_experiment, asked, **policies.measure)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            trouble = note(f"day {days} was not measured: {error.cause}")
            self._status = ExperimentStatus("measuring", self._status.measured, trouble=trouble)
            workflow.logger.warning("%s", trouble)
            return None
        self._status = ExperimentStatus("measured", days)
        return found

    def _whole_days(self, request: ExperimentInput) -> int:
        """How many can be measured by now: days that were missed, or lie in the past, take one measurement."""
        return (workflow.now() - request.experiment.delay - request.start) // timedelta(days=1)

    def _enter(self, stage: str, next_at: datetime | None = None) -> None:
        self._status = ExperimentStatus(stage, self._status.measured, next_at, self._status.trouble)
        self.enter(stage)


def _due(request: ExperimentInput, day: int) -> datetime:
    return request.start + timedelta(days=day) + request.experiment.delay
