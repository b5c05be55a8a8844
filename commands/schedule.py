"""`driftline schedule`: when the two updates start by themselves."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from temporalio.client import ScheduleBackfill, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from commands.context import Set, connect, load_settings, wait_for
from commands.output import Json, console, grid, print_json
from settings import Settings
from workflows import schedules

app = typer.Typer(help="The monthly fine-tune and the RAG refresh every two days.", no_args_is_help=True)

Name = Annotated[str | None, typer.Argument(help="`fine-tune` or `rag-refresh`; default: both.")]
_ids = {"fine-tune": schedules.FINE_TUNE, "rag-refresh": schedules.RAG_REFRESH}


@app.command()
def apply(settings: Set = None, json: Json = False) -> None:
    """Create both schedules, or bring them up to the settings. Doing it twice changes nothing."""
    loaded = load_settings(settings)

    async def work() -> dict[str, str]:
        return await schedules.apply(await connect(loaded), loaded)

    done = wait_for(work())
    if json:
        print_json(done)
    else:
        for name, what in done.items():
            console.print(f"{name}: {what}")


@app.command("list")
def list_(json: Json = False) -> None:
    """Both schedules with their next starts."""
    rows = wait_for(_describe(load_settings()))
    if json:
        print_json(rows)
    else:
        columns = ("id", "paused", "note", "next_starts", "running", "last_started")
        shown = [[*(row[c] for c in columns[:3]), row["next_starts"][:2], *(row[c] for c in columns[4:])] for row in rows]
        grid("schedules", columns, shown)


async def _describe(settings: Settings) -> list[dict[str, Any]]:
    client, rows = await connect(settings), []
    for name in _ids.values():
        try:
            found = await client.get_schedule_handle(name).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            continue
        actions = found.info.recent_actions
        rows.append(
            {
                "id": name,
                "paused": found.schedule.state.paused,
                "note": found.schedule.state.note,
                "next_starts": [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in found.info.next_action_times[:5]],
                "running": [action.workflow_id for action in found.info.running_actions],  # type: ignore[attr-defined]
                "last_started": actions[-1].scheduled_at if actions else None,
            }
        )
    return rows


@app.command()
def pause(name: Name = None, note: Annotated[str, typer.Option(help="Why.")] = "paused by hand") -> None:
    """Start no more runs until `resume`; a run under way goes on."""
    _each(name, lambda handle: handle.pause(note=note), "paused")


@app.command()
def resume(name: Name = None) -> None:
    """Start runs again. What was missed while paused is not made up for: see `backfill`."""
    _each(name, lambda handle: handle.unpause(note=""), "resumed")


@app.command()
def backfill(
    name: Annotated[str, typer.Argument(help="`fine-tune` or `rag-refresh`.")],
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First nominal date (UTC).")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last nominal date (UTC).")],
) -> None:
    """Make the runs whose nominal times lie in a past span, one after another: the versions a live run would have made."""
    if end < start:
        raise typer.BadParameter(f"--to {end:%Y-%m-%d} is before --from {start:%Y-%m-%d}")
    span = ScheduleBackfill(
        start_at=start.replace(tzinfo=UTC) - timedelta(seconds=1),  # Temporal leaves the start itself out
        end_at=end.replace(tzinfo=UTC, hour=23, minute=59, second=59),
        overlap=ScheduleOverlapPolicy.BUFFER_ALL,
    )
    _each(name, lambda handle: handle.backfill(span), "backfilling")


def _each(name: str | None, act: Any, said: str) -> None:
    if name is not None and name not in _ids:
        raise typer.BadParameter(f"{name!r} is not a schedule: use `fine-tune` or `rag-refresh`")
    wanted = [_ids[name]] if name else list(_ids.values())
    loaded = load_settings()

    async def work() -> None:
        client = await connect(loaded)
        for schedule in wanted:
            try:
                await act(client.get_schedule_handle(schedule))
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    raise ValueError(f"there is no schedule {schedule}: run `driftline schedule apply` first") from None
                raise
            console.print(f"{schedule}: {said}")

    wait_for(work())
