"""`driftline ingest`: read the configured log once, and say what is in it and what is left out."""

from contextlib import nullcontext
from dataclasses import fields

from commands.context import Set, load
from commands.output import Json, cell, console, grid, print_json
from operations import logs
from sources.profile import Profile


def ingest(settings: Set = None, json: Json = False) -> None:
    """Check the configured log and catalogue, report every dropped row by reason, and keep the report in Postgres.

    Runs read the log itself, one window at a time, so nothing is copied and a growing log needs no second ingest.
    """
    context = load(settings)
    with nullcontext() if json else console.status(f"reading {cell(context.settings.source.events)}"):
        found = logs.ingest(context)
    if json:
        print_json(found)
    else:
        draw(found)


def draw(found: Profile) -> None:
    rows = [(f.name.replace("_", " "), getattr(found, f.name)) for f in fields(found) if f.name != "dropped"]
    rows += [(f"dropped: {reason.replace('_', ' ')}", count) for reason, count in found.dropped.items()]
    grid("event log", ("", ""), [(name, f"{v:,}" if isinstance(v, int) else v) for name, v in rows])
