"""Every channel's table in the memory of this process: followed in Postgres, kept on disk, replaced as a whole.

A process reads a table from the home's copy if there is one, else from Postgres, and then leaves a copy for the processes beside
it and for a start without Postgres. What it serves is one immutable mapping: a request takes it once and sees one state.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from driftline.db import serving as db_serving
from driftline.db.follow import PATIENCE, Follower, listen
from driftline.db.serving import Connection, LoadedInterests, LoadedTable, Pointer
from driftline.interests.back_off import RankedSuccessors
from driftline.interests.hashes import hashed
from driftline.interests.recommender import trained
from driftline.interests.recommender.trained import Trained
from driftline.serving import copies, metrics
from driftline.system.files import Damaged

APPLICATION = "driftline serve"
KEPT = 16
"""Copies of tables and of cluster sets that stay on disk beside those that are served."""

Part = TypeVar("Part")
Held = Callable[[Pointer, Callable[[], Part]], Part]
"""Gives a part of what is served by its copy, which it makes of what it reads where there is none."""
Load = Callable[[Pointer, LoadedInterests | None], tuple[LoadedTable, LoadedInterests]]
"""Reads a table, and the interests where they are not at hand."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ServedChannel:
    """A channel's table with the items of its own cluster set."""

    pointer: Pointer
    table: LoadedTable
    interests: LoadedInterests
    recommender: Trained | None = None
    """None: items are not switched on, there is none of this cluster set, or its files are out of reach."""

    @property
    def etag(self) -> str:
        """Tag of all that follows from the table's content."""
        return f"{self.pointer.version}-{self.pointer.key}"

    def interests_of(self, items: list[str]) -> list[int]:
        """The interest of each item; −1 where the cluster set has no such item."""
        known = self.interests.hashes
        if not items or not len(known):
            return [-1] * len(items)
        asked = hashed(items)
        at = np.minimum(known.searchsorted(asked), len(known) - 1)
        return [int(c) for c in np.where(known[at] == asked, self.interests.clusters[at], -1)]


class Channels:
    """Follows every channel; `served` is never partly replaced."""

    def __init__(
        self,
        home: Path,
        url: Callable[[], str],
        changed: Callable[[], None],
        *,
        poll_seconds: float = 3.0,
        files: Callable[[str, str], Path] | None = None,
    ) -> None:
        """Starts to follow. Returns when Postgres has answered, or has not and there is a copy to serve or none.

        Args:
            home: copies are below it.
            url: Postgres' address, asked before every attempt: an embedded server may move.
            changed: called in another thread when `served` is another.
            files: the folder of a recommender's URI and hash; None: no items are served.
        """
        self._files = files
        self._recommenders: dict[str, Trained] = {}
        self.served: Mapping[str, ServedChannel] = {}
        self._folder, self._changed = home / "serving", changed
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        confirmed = self._start_from_copy()
        self._open = partial(_open, url)
        self._follower = Follower("the channels", self._open, self._refresh, poll_seconds=poll_seconds, confirmed=confirmed)
        self._follower.tried.wait(PATIENCE)

    @property
    def stale_since(self) -> datetime | None:
        """When Postgres last confirmed what is served, if it does not answer now."""
        return self._follower.stale_since

    def close(self) -> None:
        self._follower.close()

    # --- from Postgres -------------------------------------------------------------------------------------------------

    def _refresh(self, conn: Connection) -> None:
        served: dict[str, ServedChannel] = {}
        for pointer in db_serving.pointers(conn):
            try:
                served[pointer.channel] = self._one(pointer, partial(self._load, conn))
            except RuntimeError as error:  # a table that cannot be served takes no other channel's with it, nor its own before
                log.error("channel %s stays where it was: %s", pointer.channel, error)
                if pointer.channel in self.served:
                    served[pointer.channel] = self.served[pointer.channel]
        pointers = [one.pointer for one in served.values()]
        if pointers != [one.pointer for one in self.served.values()]:
            self._serve(served)
            self._keep_pointers(pointers)
        metrics.CONFIRMED.set_to_current_time()
        with suppress(OSError):
            os.utime(self._folder / "channels.json")  # when this was last known to be true

    def _serve(self, served: dict[str, ServedChannel]) -> None:
        self.served = served
        used = {one.pointer.recommender_hash for one in served.values()}
        self._recommenders = {key: found for key, found in self._recommenders.items() if key in used}
        for one in served.values():
            metrics.VERSION.labels(one.pointer.channel).set(one.pointer.version)
            metrics.APPROVED.labels(one.pointer.channel).set(one.pointer.approved)
            metrics.PUBLISHED.labels(one.pointer.channel).set(one.pointer.published.timestamp())
        self._changed()

    def _one(self, pointer: Pointer, load: Load) -> ServedChannel:
        """The channel's table, from memory where this or another channel has it."""
        held, recommender = {one.pointer.key: one for one in self.served.values()}, self._recommender(pointer)
        if (same := held.get(pointer.key)) is not None:
            return ServedChannel(pointer, same.table, same.interests, recommender)
        sets = {one.pointer.items_key: one.interests for one in self.served.values()}
        return ServedChannel(pointer, *load(pointer, sets.get(pointer.items_key)), recommender)

    def _recommender(self, pointer: Pointer) -> Trained | None:
        """Maps the recommender of the pointer's cluster set, once; whatever is wrong with its files takes no table with it."""
        if self._files is None or pointer.recommender_uri is None or pointer.recommender_hash is None:
            return None
        if pointer.recommender_hash not in self._recommenders:
            try:
                folder = self._files(pointer.recommender_uri, pointer.recommender_hash)
                self._recommenders[pointer.recommender_hash] = trained.read(folder)
            except (OSError, ValueError) as error:
                log.error("channel %s recommends no items: %s", pointer.channel, error)
        return self._recommenders.get(pointer.recommender_hash)

    def _load(self, conn: Connection, pointer: Pointer, interests: LoadedInterests | None) -> tuple[LoadedTable, LoadedInterests]:
        """Both at the same time, each by a connection of its own: Postgres has a core for either."""

        def read_interests() -> LoadedInterests:
            with self._open() as another:
                return db_serving.read_interests(another, pointer)

        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(lambda: interests or self._first("interests", self._interests, pointer, read_interests))
            table = self._first("table", self._table, pointer, partial(db_serving.read_table, conn, pointer))
            return table, beside.result()

    def _first(self, kind: str, held: Held[Part], pointer: Pointer, read: Callable[[], Part]) -> Part:
        """The first of several processes reads Postgres, the others what it leaves."""
        try:
            with self._locked(kind):
                return held(pointer, read)
        except OSError as error:  # no disk to keep copies on is no reason not to serve
            log.warning("no copies in %s: %s", self._folder, error)
            return read()

    # --- copies --------------------------------------------------------------------------------------------------------

    def _table(self, pointer: Pointer, read: Callable[[], LoadedTable] | None = None) -> LoadedTable:
        path = self._folder / f"{pointer.key}.table"
        if (copy := _copy(path)) is None:
            if read is None:
                raise FileNotFoundError(path)
            found = read()
            copies.write(path, {}, {"answers": found.answers, **asdict(found.ranking)})
            copy = copies.read(path)
            self._discard(".table")
        _, arrays = copy
        return LoadedTable(arrays.pop("answers"), RankedSuccessors(**arrays))

    def _interests(self, pointer: Pointer, read: Callable[[], LoadedInterests] | None = None) -> LoadedInterests:
        path = self._folder / f"{pointer.items_key}.interests"
        if (copy := _copy(path)) is None:
            if read is None:
                raise FileNotFoundError(path)
            found = read()
            copies.write(path, {"names": found.names}, {"hashes": found.hashes, "clusters": found.clusters})
            copy = copies.read(path)
            self._discard(".interests")
        facts, arrays = copy
        return LoadedInterests(tuple(facts["names"]), **arrays)

    def _keep_pointers(self, found: list[Pointer]) -> None:
        rows = [{name: str(v) if isinstance(v, datetime) else v for name, v in asdict(one).items()} for one in found]
        try:
            copies.replace(self._folder / "channels.json", json.dumps(rows, indent=1).encode())
        except OSError as error:
            log.warning("no copy in %s: %s", self._folder, error)

    def _start_from_copy(self) -> datetime:
        """Serve what the home has; returns when it was last confirmed."""
        file = self._folder / "channels.json"
        try:
            rows, confirmed = json.loads(file.read_text()), datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except FileNotFoundError:
            return datetime.now(UTC)
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read: %s", file, error)
            return datetime.now(UTC)
        served: dict[str, ServedChannel] = {}
        for row in rows:
            try:
                times = {name: datetime.fromisoformat(row[name]) for name in ("nominal", "published")}
                pointer = Pointer(**(row | times))
                served[pointer.channel] = self._one(pointer, self._from_copies)
                self._serve(served)
            except (OSError, KeyError, TypeError, ValueError) as error:
                log.warning("no copy of what channel %r served: %s", row.get("channel"), error)
        return confirmed

    def _from_copies(self, pointer: Pointer, interests: LoadedInterests | None) -> tuple[LoadedTable, LoadedInterests]:
        return self._table(pointer), interests or self._interests(pointer)

    def _discard(self, kind: str) -> None:
        """Delete the oldest copies; who has one mapped keeps it until it is done."""
        files = sorted(self._folder.glob(f"*{kind}"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[len(self.served) + KEPT :]:
            file.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, kind: str) -> Iterator[None]:
        with (self._folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _open(url: Callable[[], str]) -> Connection:
    return listen(url(), APPLICATION)


def _copy(path: Path) -> tuple[dict[str, Any], copies.Arrays] | None:
    """Reads a copy that is there and whole; a damaged one is removed."""
    try:
        return copies.read(path)
    except FileNotFoundError:
        return None
    except Damaged as error:
        log.warning("%s", error)
        path.unlink(missing_ok=True)
        return None
