"""`driftline prune`: delete what is old and needed by nothing; without `--yes` it only says what that is."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from driftline.commands.context import Set, load, wait_for
from driftline.commands.output import Json, console, grid, print_json
from driftline.operations import retention
from driftline.operations.retention import Pruning

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def prune(
    days: Annotated[int | None, typer.Option(min=7, help="Keep everything of the last so many days (retention.days).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it. Without this, nothing is deleted.")] = False,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Delete rows of old tables and counts, mappings, prompts, successor lists, checkpoints and rejected adapters.

    Never what a channel, a roll-back within the days, an open review, an open run, or a table that is kept needs; and no record:
    who decided what about which version stays. Whatever is deleted is made again by the run that made it.
    """
    context = load(settings)
    pruning = wait_for(retention.prunable(context, days))
    if yes:
        with nullcontext() if json else console.status("deleting"):
            pruning = retention.prune(context, pruning)
    if json:
        facts = {"before": pruning.before, "open_since": pruning.open_since, "deleted": yes, "bytes": pruning.bytes}
        print_json(facts | {"rows": pruning.rows, "files": pruning.files, "busy": pruning.busy})
    else:
        _draw(pruning, yes)


def _draw(pruning: Pruning, deleted: bool) -> None:
    kinds: dict[str, list[Any]] = {}
    for rows in pruning.rows:
        kinds.setdefault({"table": "rows of tables", "counts": "rows of counts"}[rows.kind], []).append(rows)
    for each in pruning.files:
        kinds.setdefault(each.kind.partition("/")[0], []).append(each)
    if kinds:
        drawn = [(kind, len(parts), _size(parts)) for kind, parts in kinds.items()]
        grid("deleted" if deleted else "may be deleted", ("what", "n", "size"), drawn)
    since = f", and a run is open since {pruning.open_since:%Y-%m-%d %H:%M}" if pruning.before == pruning.open_since else ""
    console.print(f"nothing younger than {pruning.before:%Y-%m-%d %H:%M} UTC{since}", highlight=False)
    if pruning.busy:
        versions = ", ".join(f"{rows.kind} {rows.version}" for rows in pruning.busy)
        console.print(f"[yellow]left for the next time, because somebody reads it:[/] {versions}", highlight=False)
    if not deleted and kinds:
        console.print("nothing was deleted: `driftline prune --yes` does it", highlight=False)


def _size(parts: Sequence[Any]) -> str:
    size, unit = float(sum(part.bytes for part in parts)), 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{size:.0f} B"
