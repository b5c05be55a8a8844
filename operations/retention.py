"""What is old and needed by nothing: shown first, then deleted."""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from driftline import embedded
from driftline.activities.artifacts import DAMAGED, Stored
from driftline.activities.resources import artifacts_of
from driftline.db import connection as db_connection
from driftline.db import retention as db_retention
from driftline.db.retention import PrunableRows
from driftline.operations.context import Context
from driftline.workflows import policies

OF_THIS_MACHINE = {"work": "work", "cache": "cache/artifacts"}
"""Folders of the home whose entries are no artifacts: checkpoints of steps, and copies of what is in a store."""
BY_AGE = (
    *("samples", "validation", "prompts", "mappings", "answers", "catalogues", "embeddings", "successors", "item-sequences"),
    *("adapters", "encoders", "recommenders", DAMAGED),
)
"""Kinds of artifacts that are deleted if nothing needs them. One that is not known here stays."""
TRIES = 25
"""How often rows are tried that somebody reads."""


@dataclass(frozen=True)
class Pruning:
    """What may go, or has gone.

    Attributes:
        before: nothing that is younger than this.
        open_since: start of the oldest run that is open: nothing that it may have made is deleted.
        busy: rows that somebody read the whole time; the next pruning takes them.
    """

    before: datetime
    open_since: datetime | None
    rows: list[PrunableRows]
    files: list[Stored]
    busy: list[PrunableRows] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.rows) + sum(each.bytes for each in self.files)


async def prunable(context: Context, days: int | None = None) -> Pruning:
    """What is older than so many days (by default those of the settings), older than the oldest open run, and needed by nothing:
    no channel, no roll-back, no open review, no table that is kept.

    Raises:
        Unreachable: Temporal does not answer, so that nobody knows what open runs need.
    """
    opened = await _oldest_open_run(context)
    with context.engine.connect() as connection:
        now = min(datetime.now(UTC), db_connection.now(connection))  # a clock that is ahead makes nothing old
        asked = now - timedelta(days=days or context.settings.retention.days)
        before = min(asked, opened or asked)
        rows = db_retention.prunable(connection, before)
        kept = db_retention.kept_files(connection, before)
    home = context.settings.home.absolute()
    artifacts = artifacts_of(home, context.settings.artifacts).everything()
    known = (each for each in artifacts if each.kind.startswith((".new-", "mappings/")) or each.kind in BY_AGE)
    needed = {"adapters": kept.adapters, "encoders": kept.recommenders, "recommenders": kept.recommenders}
    files = [
        each
        for each in (*known, *_of_this_machine(home))
        if each.used < before and not (each.hash and each.hash in needed.get(each.kind, kept.mappings))
    ]
    return Pruning(before, opened, rows, files)


def prune(context: Context, pruning: Pruning) -> Pruning:
    """Delete it, and say what is gone. Postgres asks again whether something needs a version before it drops its rows. Several
    may do it at once: each says what it has deleted itself.

    Raises:
        BadInput: this login of Postgres may not.
    """
    engine = db_connection.connect(embedded.owner_url(context.settings))
    try:
        dropped, busy = [], []
        for rows in pruning.rows:
            gone = None
            for _ in range(TRIES):
                with engine.begin() as connection:
                    gone = db_retention.prune(connection, rows, pruning.before)
                if gone is not None:
                    break
                time.sleep(0.2)
            if gone:
                dropped.append(rows)
            elif gone is None:
                busy.append(rows)
    finally:
        engine.dispose()
    home = context.settings.home.absolute()
    artifacts = artifacts_of(home, context.settings.artifacts)
    removed = []
    for each in pruning.files:
        with suppress(FileNotFoundError):  # another pruning was faster
            if each.kind not in OF_THIS_MACHINE:
                artifacts.remove(each)
            elif not _remove_unlocked(Path(unquote(urlsplit(each.uri).path))):
                continue
            removed.append(each)
    return Pruning(pruning.before, pruning.open_since, dropped, removed, busy)


async def _oldest_open_run(context: Context) -> datetime | None:
    client = await context.temporal()
    query = f"TaskQueue = '{policies.WORKFLOWS}' AND ExecutionStatus = 'Running'"
    return min([run.start_time async for run in client.list_workflows(query)], default=None)


def _of_this_machine(home: Path) -> Iterator[Stored]:
    for kind, folder in OF_THIS_MACHINE.items():
        for place in sorted((home / folder).glob("*")):
            with suppress(FileNotFoundError):  # a step has just finished
                files = [path.stat() for path in place.rglob("*") if path.is_file()]
                used = max([place.stat().st_mtime, *(file.st_mtime for file in files)])
                size = sum(file.st_size for file in files)
                yield Stored(kind, place.as_uri(), "", size, datetime.fromtimestamp(used, UTC))


def _remove_unlocked(place: Path) -> bool:
    """Delete a folder unless a step works in it. Raises FileNotFoundError: it is gone."""
    place.stat()
    with suppress(FileNotFoundError), (place / "lock").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    shutil.rmtree(place, ignore_errors=True)
    return True
