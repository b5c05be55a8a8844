"""Steps of a live experiment: it is put on record, measured day by day, and ended; and what of it would be shipped."""

from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import (
    BadInput,
    EndExperiment,
    Evaluation,
    ExperimentInput,
    ExperimentRef,
    FindShipped,
    MeasureExperiment,
    RegisterExperiment,
    Shipped,
    arm_weights,
)
from driftline.db import channels as db_channels
from driftline.db import evaluations as db_evaluations
from driftline.db import experiments as db_experiments
from driftline.db import tables as db_tables
from driftline.db.connection import Connection
from driftline.interests.experiments.analysis import MISMATCH, analyse, split_p
from driftline.interests.experiments.objections import objections
from driftline.interests.experiments.result import ChannelMove, Result
from driftline.sources.exposures import read_days

GATE = "experiment"
"""What fails where an experiment speaks against shipping."""


@dataclass(frozen=True)
class ExperimentActivities:
    resources: Resources

    @activity.defn
    def register_experiment(self, request: RegisterExperiment) -> None:
        self.resources.allowed.check_experiment(request.request.experiment)
        with self.resources.engine.begin() as connection:
            db_experiments.register(connection, request.request, request.run)

    @activity.defn
    @heartbeats("reading")
    def measure_experiment(self, request: MeasureExperiment) -> ExperimentRef:
        """Every metric of every day so far, unless the split of the users is wrong."""
        asked, experiment = request.request, request.request.experiment
        self.resources.allowed.check_experiment(experiment)
        weights = arm_weights(asked)
        observed = read_days(asked, request.days)
        p = split_p(observed, weights)
        mismatch = p < MISMATCH
        adjust = experiment.days_before > 0
        with self.resources.engine.connect() as connection:
            updates = _updates(connection, asked, request.days)
        users = [int(of[-1]) for of in observed.users]
        result = Result(
            start=asked.start,
            days=request.days,
            control=experiment.control,
            treatment=experiment.treatment,
            users=dict(zip(("control", "treatment"), users, strict=True)),
            expected=dict(zip(("control", "treatment"), weights, strict=True)),
            mismatch_p=p,
            mismatch=mismatch,
            metrics=() if mismatch else analyse(observed, experiment.metrics, experiment.planned_users, adjust),
            dropped=observed.dropped,
            planned_users=experiment.planned_users,
            updates=updates,
        )
        with self.resources.engine.begin() as connection:
            return db_experiments.add(connection, asked.name, result, request.run)

    @activity.defn
    def end_experiment(self, request: EndExperiment) -> None:
        """Puts the end of an experiment on record. Whoever stopped it is there already; else it has had its days, or was stopped
        from Temporal's UI."""
        with self.resources.engine.begin() as connection:
            db_experiments.end(connection, request.name, request.outcome, "driftline", request.reason)

    @activity.defn
    def find_shipped(self, request: FindShipped) -> Shipped:
        """The table that the channel serves now, its evaluation, and what the experiment has against it.

        Raises:
            BadInput: there is no such experiment, or nothing on the channel, or a table that was never judged.
        """
        with self.resources.engine.connect() as connection:
            db_experiments.get(connection, request.experiment)
            version = db_channels.current(connection, request.from_channel)
            if version is None:
                raise BadInput(f"nothing is published on channel {request.from_channel!r}: there is nothing to ship")
            table, judged = db_tables.get(connection, version), db_evaluations.get(connection, version)
            if judged is None:
                raise BadInput(f"table {version} was not evaluated: run its workflow to the end")
            measured = db_experiments.newest(connection, request.experiment)
        against = objections(measured.result if measured else None)
        return Shipped(version, table.model_version, table.rows, table.kind, _against(judged, request.experiment, against))


def _against(judged: Evaluation, experiment: str, against: list[str]) -> Evaluation:
    """An approval then is one against a gate."""
    if not against:
        return judged
    reasons = {**judged.reasons, GATE: f"experiment {experiment}: {'; '.join(against)}"}
    return replace(judged, failed_gates=(*judged.failed_gates, GATE), reasons=reasons)


def _updates(connection: Connection, request: ExperimentInput, days: int) -> tuple[ChannelMove, ...]:
    """Lists the moments at which one of the experiment's channels moved to another table, oldest first."""
    end = request.start + timedelta(days=days)
    moves = [
        ChannelMove(move.at, move.channel, move.to_version)
        for channel in (request.experiment.control, request.experiment.treatment)
        for move in db_channels.history(connection, channel)
        if request.start <= move.at < end
    ]
    return tuple(sorted(moves, key=lambda move: (move.at, move.channel)))
