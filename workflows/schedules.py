"""When the two updates start by themselves: declared here, applied idempotently (design §4)."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
)

from contracts import FineTuneInput, RagRefreshInput
from settings import Settings
from workflows import policies
from workflows.fine_tune import FineTune
from workflows.rag_refresh import RagRefresh

FINE_TUNE = "driftline-fine-tune"
RAG_REFRESH = "driftline-rag-refresh"


def fine_tune_input(settings: Settings) -> FineTuneInput:
    """What a fine-tune is asked under these settings; its nominal time is the schedule's unless one is set."""
    return FineTuneInput(
        source=settings.source,
        windows=settings.fine_tune,
        sequences=settings.sequences,
        counting=settings.counting,
        samples=settings.samples,
        retrieval=settings.retrieval,
        training=settings.training,
        generation=settings.generation,
        gates=settings.gates,
        channel=settings.channel,
    )


def rag_refresh_input(settings: Settings) -> RagRefreshInput:
    """What a RAG refresh is asked under these settings."""
    return RagRefreshInput(
        source=settings.source,
        windows=settings.rag_refresh,
        sequences=settings.sequences,
        counting=settings.counting,
        retrieval=settings.retrieval,
        generation=settings.generation,
        gates=settings.gates,
        channel=settings.channel,
    )


def declared(settings: Settings) -> dict[str, Schedule]:
    """Both schedules, by id. All times are UTC; overlap is skipped; only a short outage is caught up."""
    when = settings.schedule
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=when.catchup)
    monthly = ScheduleCalendarSpec(
        day_of_month=[ScheduleRange(when.fine_tune_day)], hour=[ScheduleRange(when.hour)], comment="monthly fine-tune"
    )
    return {
        FINE_TUNE: Schedule(
            action=ScheduleActionStartWorkflow(
                FineTune.run, fine_tune_input(settings), id=FINE_TUNE, task_queue=policies.WORKFLOWS
            ),
            spec=ScheduleSpec(calendars=[monthly]),
            policy=policy,
        ),
        RAG_REFRESH: Schedule(
            action=ScheduleActionStartWorkflow(
                RagRefresh.run, rag_refresh_input(settings), id=RAG_REFRESH, task_queue=policies.WORKFLOWS
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=when.rag_refresh_every, offset=timedelta(hours=when.hour))]),
            policy=policy,
        ),
    }


async def apply(client: Client, settings: Settings) -> dict[str, str]:
    """Create or update both schedules. Returns what happened to each; pausing by hand survives an update."""
    done = {}
    for name, wanted in declared(settings).items():
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
