"""When the two updates, or the cadence that starts them, and the watch start by themselves: applied idempotently (design §4)."""

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from driftline.contracts import WatchInput
from driftline.operations.cadence import cadence_input
from driftline.operations.context import Context
from driftline.operations.recommenders import recommender_input
from driftline.operations.runs import fine_tune_input, rag_refresh_input
from driftline.settings import Settings
from driftline.workflows import policies
from driftline.workflows.cadence import KeepCadence
from driftline.workflows.fine_tune import FineTune
from driftline.workflows.rag_refresh import RagRefresh
from driftline.workflows.train_recommender import TrainRecommender
from driftline.workflows.watch import Watch

FINE_TUNE = "driftline-fine-tune"
RAG_REFRESH = "driftline-rag-refresh"
CADENCE = "driftline-cadence"
RECOMMENDER = "driftline-recommender"
WATCH = "driftline-watch"
UPDATES = {"fine-tune": FINE_TUNE, "rag-refresh": RAG_REFRESH}
IDS = {**UPDATES, "cadence": CADENCE, "recommender": RECOMMENDER, "watch": WATCH}
"""Ids in Temporal, by what the user calls them."""


def declared(settings: Settings) -> dict[str, Schedule]:
    """All schedules, by id. All times are UTC; only a short outage is caught up. An adaptive cadence starts the updates itself.

    A start is skipped while the run before is open, unless a newer candidate supersedes one that waits for review: it has to be
    made to do so.
    """
    when, supersede = settings.schedule, settings.gates.supersede
    monthly = ScheduleCalendarSpec(
        day_of_month=[ScheduleRange(when.fine_tune_day)], hour=[ScheduleRange(when.hour)], comment="monthly fine-tune"
    )
    found = {
        FINE_TUNE: Schedule(
            action=ScheduleActionStartWorkflow(
                FineTune.run, fine_tune_input(settings), id=FINE_TUNE, task_queue=policies.WORKFLOWS
            ),
            spec=ScheduleSpec(calendars=[monthly]),
            policy=_policy(when.catchup, beside=supersede == "always"),
        ),
        RAG_REFRESH: Schedule(
            action=ScheduleActionStartWorkflow(
                RagRefresh.run, rag_refresh_input(settings), id=RAG_REFRESH, task_queue=policies.WORKFLOWS
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=when.rag_refresh_every, offset=timedelta(hours=when.hour))]),
            policy=_policy(when.catchup, beside=supersede != "never"),
        ),
        WATCH: Schedule(
            action=ScheduleActionStartWorkflow(
                Watch.run, WatchInput(tuple(name for name in IDS.values() if name != WATCH)), id=WATCH, task_queue=policies.NOTIFY
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=settings.notify.every)]),
            policy=_policy(timedelta(minutes=1), beside=False),
        ),
    }
    if when.recommender:
        found[RECOMMENDER] = Schedule(
            action=ScheduleActionStartWorkflow(
                TrainRecommender.run, recommender_input(settings), id=RECOMMENDER, task_queue=policies.WORKFLOWS
            ),
            spec=ScheduleSpec(calendars=[replace(monthly, comment="monthly training of the recommender")]),
            policy=_policy(when.catchup, beside=False),
        )
    if settings.cadence.policy == "adaptive":
        for name in UPDATES.values():
            del found[name]
        # Days are decided one after another: each reads the record of those before.
        found[CADENCE] = Schedule(
            action=ScheduleActionStartWorkflow(
                KeepCadence.run, cadence_input(settings), id=CADENCE, task_queue=policies.WORKFLOWS
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1), offset=timedelta(hours=when.hour))]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ALL, catchup_window=when.catchup),
        )
    return found


def _policy(catchup: timedelta, beside: bool) -> SchedulePolicy:
    overlap = ScheduleOverlapPolicy.ALLOW_ALL if beside else ScheduleOverlapPolicy.SKIP
    return SchedulePolicy(overlap=overlap, catchup_window=catchup)


async def apply(context: Context) -> dict[str, str]:
    """Create or update all schedules, and remove what the settings have switched off. Returns what happened to each; pausing by
    hand survives an update."""
    context.allow()
    client, done = await context.temporal(), {}
    all_wanted = declared(context.settings)
    for name in set(IDS.values()) - set(all_wanted):
        with suppress(RPCError):  # there is none
            await client.get_schedule_handle(name).delete()
            done[name] = "removed"
    for name, wanted in all_wanted.items():
        try:
            await client.create_schedule(name, wanted)
            done[name] = "created"
        except ScheduleAlreadyRunningError:

            def update(current: object, wanted: Schedule = wanted) -> ScheduleUpdate:
                wanted.state = current.description.schedule.state  # type: ignore[attr-defined]
                return ScheduleUpdate(wanted)

            await client.get_schedule_handle(name).update(update)
            done[name] = "updated"
    return done


@dataclass(frozen=True)
class ScheduleState:
    id: str
    paused: bool
    note: str | None
    next_starts: list[str]
    running: list[str]
    """Ids of workflows."""
    last_started: datetime | None
    skipped: int
    """Starts that were left out because the run before was still open, since the schedule was made."""
    missed: int
    """Starts that were too old to be made up for when Temporal was back."""


async def list_schedules(context: Context) -> list[ScheduleState]:
    """Reads the state of the schedules that are there."""
    client, states = await context.temporal(), []
    for name in IDS.values():
        try:
            found = await client.get_schedule_handle(name).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            continue
        actions = found.info.recent_actions
        states.append(
            ScheduleState(
                id=name,
                paused=found.schedule.state.paused,
                note=found.schedule.state.note,
                next_starts=[f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in found.info.next_action_times[:5]],
                running=[action.workflow_id for action in found.info.running_actions],  # type: ignore[attr-defined]
                last_started=actions[-1].scheduled_at if actions else None,
                skipped=found.info.num_actions_skipped_overlap,
                missed=found.info.num_actions_missed_catchup_window,
            )
        )
    return states


async def pause(context: Context, names: Collection[str], note: str) -> list[str]:
    """Start no more runs; those under way go on. Returns the ids of the schedules.

    Raises:
        ValueError: a schedule is not there.
    """
    return await _each(context, names, lambda handle: handle.pause(note=note))


async def resume(context: Context, names: Collection[str]) -> list[str]:
    """Start runs again; what was missed is not made up for. Raises like `pause`."""
    return await _each(context, names, lambda handle: handle.unpause(note=""))


async def backfill(context: Context, name: str, start: datetime, end: datetime) -> list[str]:
    """Start the runs whose nominal dates (UTC) lie from `start` to `end`, one after another. Raises like `pause`."""
    span = ScheduleBackfill(
        start_at=start.replace(tzinfo=UTC) - timedelta(seconds=1),  # Temporal leaves the start itself out
        end_at=end.replace(tzinfo=UTC, hour=23, minute=59, second=59),
        overlap=ScheduleOverlapPolicy.BUFFER_ALL,
    )
    return await _each(context, [name], lambda handle: handle.backfill(span))


async def _each(context: Context, names: Collection[str], act: Callable[[ScheduleHandle], Awaitable[Any]]) -> list[str]:
    client, done = await context.temporal(), []
    for schedule in (IDS[name] for name in names):
        try:
            await act(client.get_schedule_handle(schedule))
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise ValueError(f"there is no schedule {schedule}: run `driftline schedule apply` first") from None
            raise
        done.append(schedule)
    return done
