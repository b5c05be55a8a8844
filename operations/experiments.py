"""Live experiments: designed by the settings, measured by a durable run, read, stopped, and shipped by way of a review.

Temporal's client and the readers are imported where they are used: who only looks starts without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from driftline.contracts import (
    BadInput,
    ExperimentInput,
    ExperimentName,
    ExperimentStatus,
    RunOutcome,
    ShipInput,
    arm_weights,
)
from driftline.db import channels as db_channels
from driftline.db import experiments as db_experiments
from driftline.db.experiments import Measured, Recorded
from driftline.operations.context import Context, Unreachable
from driftline.operations.text import NAME, REASON, checked

if TYPE_CHECKING:
    from temporalio.client import WorkflowHandle


_NAME = TypeAdapter[str](ExperimentName)
SHIP = "ship-"
"""Before an experiment's name: the run that would ship one of its channels."""


@dataclass(frozen=True)
class Detectable:
    """The smallest relative difference that four of five such experiments would detect; None: unknown.

    `once`: by one look at the end. `always`: by the interval that is valid on every day.
    """

    users: int
    once: float | None
    always: float | None


@dataclass(frozen=True)
class ExperimentState:
    """An experiment with its newest measurement and, where it runs, what its run says."""

    recorded: Recorded
    measured: Measured | None
    run: ExperimentStatus | None
    changed: str
    """How the settings' split of the users differs from that of its start; empty if it does not."""


def design(context: Context, name: str, start: datetime | None = None) -> ExperimentInput:
    """The experiment that the settings describe, under a name. `start`: a day; the next midnight (UTC) unless given.

    Raises:
        BadInput: the settings describe none; says what is missing.
    """
    settings, name = context.settings, checked("experiment's name (letters, digits, `_`, `.` and `-`)", _NAME, name)
    experiment, weights = settings.experiment, dict(settings.serving.channels)
    if experiment.control == experiment.treatment:
        raise BadInput(f"experiment.control and experiment.treatment are both {experiment.control!r}: name two channels")
    for arm in (experiment.control, experiment.treatment):
        if not weights.get(arm):
            both = f"{{{experiment.control} = 0.5, {experiment.treatment} = 0.5}}"
            raise BadInput(f"channel {arm!r} has no weight: set serving.channels, e.g. to {both}")
    if not experiment.metrics:
        raise BadInput("experiment.metrics is empty: name what is measured, e.g. [experiment.metrics.liked] with value = 'liked'")
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    first = start.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC) if start else tomorrow
    return ExperimentInput(name, experiment, first, weights, settings.serving.salt)


def detectable(context: Context, design: ExperimentInput) -> Mapping[str, Detectable]:
    """What an experiment on as many users as the days before had would find, metric by metric.

    Raises:
        BadInput: a setting does not fit the log.
    """
    from driftline.interests.experiments.power import detectable as smallest
    from driftline.sources.exposures import read_before

    if not design.experiment.days_before:
        return {}
    control, treatment = arm_weights(design)
    share = (control + treatment) / sum(design.weights.values())
    effects = {}
    for name, before in read_before(design).items():
        ours = before.scaled(share)
        once, always = (
            _known(float(smallest(ours, control, treatment, planned))) for planned in (None, design.experiment.planned_users)
        )
        effects[name] = Detectable(int(ours.n), once, always)
    return effects


async def start(context: Context, design: ExperimentInput) -> str:
    """Start an experiment's run. Returns its workflow's id.

    Raises:
        BadInput: there was one of this name.
    """
    from temporalio.common import WorkflowIDReusePolicy
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from driftline.workflows import policies

    context.allow()
    taken = BadInput(f"there is an experiment {design.name!r} already: choose a new name")
    with context.engine.connect() as connection:
        if any(one.name == design.name for one in db_experiments.list_(connection)):
            raise taken
    client = await context.temporal()
    try:
        handle = await client.start_workflow(
            "RunExperiment",
            design,
            id=_workflow_id(design.name),
            task_queue=policies.WORKFLOWS,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except WorkflowAlreadyStartedError:
        raise taken from None
    return handle.id


def known(context: Context) -> list[ExperimentState]:
    """Every experiment, newest first; their runs are not asked."""
    with context.engine.connect() as connection:
        return [
            ExperimentState(recorded, db_experiments.newest(connection, recorded.name), None, _changed(context, recorded))
            for recorded in db_experiments.list_(connection)
        ]


def get(context: Context, name: str) -> ExperimentState:
    """One experiment. Raises BadInput: there is none of this name."""
    with context.engine.connect() as connection:
        recorded = db_experiments.get(connection, name)
        return ExperimentState(recorded, db_experiments.newest(connection, name), None, _changed(context, recorded))


def shipped_by(context: Context, workflow_id: str) -> ExperimentState | None:
    """The experiment that a run would ship a channel of; None of any other run."""
    if not workflow_id.startswith(SHIP):
        return None
    try:
        return get(context, workflow_id.removeprefix(SHIP))
    except BadInput:
        return None


async def run_status(context: Context, name: str) -> ExperimentStatus | None:
    """Asks the run of an experiment where it is; None where it has ended, or neither Temporal nor a worker answers."""
    from temporalio.service import RPCError

    try:
        handle = (await context.temporal()).get_workflow_handle(_workflow_id(name))
        found: ExperimentStatus = await handle.query("status", result_type=ExperimentStatus, rpc_timeout=timedelta(seconds=10))
    except (RPCError, Unreachable):
        return None
    return found


async def stop(context: Context, name: str, actor: str, reason: str) -> bool:
    """End an experiment, with who did it and why on record. False: it had ended before.

    Raises:
        BadInput: there is no such experiment; or name or reason is not one line of printable text.
    """
    from temporalio.service import RPCError, RPCStatusCode

    actor, reason = checked("name of who stops it", NAME, actor), checked("reason", REASON, reason)
    client = await context.temporal()  # before it is on record: the run has to be told, too
    with context.engine.begin() as connection:
        db_experiments.get(connection, name)
        ended = db_experiments.end(connection, name, "stopped", actor, reason)
    try:
        await client.get_workflow_handle(_workflow_id(name)).signal("stop")
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return ended


def check_shipped(context: Context, name: str, channel: str) -> None:
    """Refuses a channel whose table cannot be shipped.

    Raises:
        BadInput: it is no channel of the experiment, or it serves nothing.
    """
    with context.engine.connect() as connection:
        experiment = db_experiments.get(connection, name).design.experiment
        arms = (experiment.control, experiment.treatment)
        if channel not in arms:
            raise BadInput(f"experiment {name!r} has no channel {channel!r}: it compares {arms[0]!r} and {arms[1]!r}")
        if db_channels.current(connection, channel) is None:
            raise BadInput(f"nothing is published on channel {channel!r}: there is nothing to ship")
    if channel == context.settings.channel:
        raise BadInput(f"channel {channel!r} is the one that runs publish on: there is nothing to ship")


async def ship(context: Context, name: str, channel: str) -> WorkflowHandle[Any, RunOutcome]:
    """Open a review of what an experiment's channel serves; an approval publishes it on the settings' channel.

    Raises:
        BadInput: as `check_shipped`; or a review of it waits already.
    """
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from driftline.workflows import policies

    check_shipped(context, name, channel)
    request = ShipInput(name, channel, context.settings.channel, context.settings.gates)
    client = await context.temporal()
    try:
        return await client.start_workflow(
            "ShipTable", request, id=f"{SHIP}{name}", task_queue=policies.WORKFLOWS, result_type=RunOutcome
        )
    except WorkflowAlreadyStartedError:
        raise BadInput(f"a review of shipping {name!r} waits already: see `driftline review list`") from None


def write(context: Context, name: str, page: Path) -> ExperimentState:
    """Write an experiment's page, one self-contained HTML file.

    Raises:
        BadInput: there is no such experiment, it was not measured yet, or the extra `report` is not installed.
    """
    try:
        from driftline.report.experiment_page import render
    except ModuleNotFoundError as error:
        raise BadInput(f"the page needs {error.name}: `pip install 'driftline[report]'`") from None
    state = get(context, name)
    if state.measured is None:
        raise BadInput(f"experiment {name!r} was not measured yet: see `driftline experiment status {name}`")
    page.write_text(render(state.recorded, state.measured), encoding="utf-8")
    return state


def _workflow_id(name: str) -> str:
    return f"experiment-{name}"


def _changed(context: Context, recorded: Recorded) -> str:
    """Users who change arms in the midst of an experiment are no sample of anything."""
    if recorded.outcome is not None:
        return ""
    serving, design = context.settings.serving, recorded.design
    if dict(serving.channels) != dict(design.weights):
        return f"serving.channels is {dict(serving.channels)}, and was {dict(design.weights)} at its start"
    return "" if serving.salt == design.salt else "serving.salt is another than at its start"


def _known(value: float) -> float | None:
    return value if value == value else None  # NaN
