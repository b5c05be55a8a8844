"""`driftline ingest`: read the configured log once, and say what is in it and what is left out."""

from contextlib import nullcontext

from rich.markup import escape

from driftline.commands.context import Set, load
from driftline.commands.output import Json, cell, console, grid, percent, print_json
from driftline.operations import logs
from driftline.sources.profile import Profile
from driftline.sources.reading import Reading


def ingest(settings: Set = None, json: Json = False) -> None:
    """Check the configured log and catalogue, report every dropped row by reason, and keep the report in Postgres.

    Runs read the log itself, one window at a time, so nothing is copied and a growing log needs no second ingest.
    """
    context = load(settings)
    with nullcontext() if json else console.status(f"reading {cell(context.settings.source.events)}"):
        profile = logs.ingest(context)
    if json:
        print_json(profile)
    else:
        draw(profile)


def draw(profile: Profile, findings: bool = True) -> None:
    for name, reading in (("event log", profile.log), ("catalogue", profile.catalogue)):
        if reading is not None:
            grid(f"how the {name} was read", ("", ""), _read(reading))
    facts = ("events", "positive", "users", "items", "first", "last", "catalogue_items", "unknown_items", "unknown_events")
    rows = [(name.replace("_", " "), getattr(profile, name)) for name in facts]
    for noun, one in (("user", profile.heaviest_user), ("item", profile.heaviest_item)):
        rows.append((f"heaviest {noun}", f"{one.id}: {percent(one.share)} of the events"))
    for reason, count in profile.dropped.items():
        example = f"  (e.g. {profile.examples[reason]})" if reason in profile.examples else ""
        rows.append((f"dropped: {reason.replace('_', ' ')}", f"{count:,}{example}"))
    grid("event log", ("", ""), [(name, f"{v:,}" if isinstance(v, int) else v) for name, v in rows])
    for finding in profile.findings if findings else ():
        colour = "red" if finding.level == "error" else "yellow"
        console.print(f"[{colour}]{finding.level}:[/] {escape(finding.setting)}: {cell(finding.message)}", highlight=False)


def _read(reading: Reading) -> list[tuple[str, str]]:
    """Rows that say something of this kind of file."""
    shown = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
    rows = [
        ("from", reading.where),
        ("format", reading.format + (f", {reading.files:,} files" if reading.files > 1 else "")),
        ("left out", f"{reading.hidden:,} hidden files, whose names begin with _ or ." if reading.hidden else ""),
        ("delimiter", shown.get(reading.delimiter, reading.delimiter)),
        ("quoting", f"{reading.quote} escaped by {reading.escape}" if reading.quote else ""),
        ("encoding", reading.encoding),
        ("types", ", ".join(f"{name} {kind}" for name, kind in reading.columns.items())),
        ("partitions", ", ".join(f"{name} {kind}" for name, kind in reading.partitions.items())),
        ("times", ", ".join(reading.times)),
        ("zone of times", reading.zone),
    ]
    return [row for row in rows if row[1]]
