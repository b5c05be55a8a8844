"""Files that cross between steps, kept under the hash of their content: written once, never changed, checked when read.

`Artifacts` is what steps know of it. `LocalArtifacts` keeps them in a folder that all workers see; `driftline.activities.remote`
in a store that they reach over the network.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import structlog

from driftline.contracts import BadInput
from driftline.system.files import flush, flush_folder

log = structlog.get_logger("artifacts")

DIGEST = "sha256"
"""File in a folder that is not named by its content: the hash of the rest."""
_NOT_CONTENT = {"train.json", "cost.json", "computed.json", DIGEST}
"""Seconds, losses and machines: they differ between two runs that made the same adapter or mapping."""
MOVED = re.compile(r"/artifacts/([a-z-]+(?:/[0-9a-f]{64})?/[0-9a-f]{64})$")
DAMAGED = "damaged"
"""Where what is not its hash is moved to."""


def hash_folder(folder: Path) -> str:
    """SHA-256 (hex) over the names and bytes of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _NOT_CONTENT):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True)
class Stored:
    """One artifact, or scrap that a killed step has left: then `hash` is empty.

    Attributes:
        kind: adapters, prompts, …; of mappings with their family.
        used: when it was made, or asked for again.
    """

    kind: str
    uri: str
    hash: str
    bytes: int
    used: datetime


class Artifacts(Protocol):
    """Finished folders, by their address. What `find` and `get` give is a folder on this machine, its content checked."""

    def folder(self) -> AbstractContextManager[Path]:
        """A scratch folder on this machine, gone afterwards; fill it and `store` it."""

    def store(self, kind: str, folder: Path) -> tuple[str, str]:
        """Copy a finished folder to its content address, in place of a damaged one. Returns its URI and hash.

        A copy, so that a step which fails after this finds its work again.
        """

    def put(self, kind: str, name: str, folder: Path) -> str:
        """The same under a name of one's own. Returns its URI."""

    def get(self, kind: str, name: str) -> tuple[str, Path] | None:
        """URI and folder of what was `put` there; None where nothing whole is."""

    def newest(self, kind: str, most: int) -> list[Path]:
        """Whole folders of a kind, the newest first."""

    def find(self, uri: str, digest: str = "") -> Path:
        """The folder that a URI names; with `digest`, it has to be this one.

        Raises:
            BadInput: it is lost, damaged (then it is set aside), or elsewhere than artifacts are kept.
            OSError: it cannot be seen from here now, and may be seen later or by another worker.
        """

    def everything(self) -> Iterator[Stored]:
        """Everything that is kept, scrap included."""

    def remove(self, stored: Stored) -> None:
        """Delete it. What is deleted half is not there."""


@contextmanager
def new_folder(beside: Path) -> Iterator[Path]:
    """Yields an empty folder in `beside`, so that keeping it there is a rename; deleted in the end where it still is."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=beside) as name:
        content = Path(name) / "content"
        content.mkdir()
        yield content


@dataclass(frozen=True)
class LocalArtifacts:
    """Artifacts in a folder of a file system that all workers share.

    Attributes:
        root: nothing outside of it is read or written, whatever a URI says.
    """

    root: Path

    def folder(self) -> AbstractContextManager[Path]:
        return new_folder(self.root)

    def store(self, kind: str, folder: Path) -> tuple[str, str]:
        digest = hash_folder(folder)
        return self._keep(self.root.absolute() / kind / digest, folder), digest

    def put(self, kind: str, name: str, folder: Path) -> str:
        (folder / DIGEST).write_text(hash_folder(folder))
        return self._keep(self.root.absolute() / kind / name, folder)

    def _keep(self, place: Path, folder: Path) -> str:
        if not self.intact(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with self.folder() as copy:
                shutil.copytree(folder, copy, dirs_exist_ok=True)
                flush_folder(copy)  # a power cut leaves no row in Postgres that names an empty file
                try:
                    os.replace(copy, place)
                except OSError:
                    if not place.exists():  # else another step has just stored the same
                        raise
                for folder in (place.parent, *place.parent.parents):  # their names, too
                    flush(folder)
                    if folder == self.root.absolute():
                        break
        with suppress(OSError):  # asked for again: `driftline prune` counts from now
            os.utime(place)
        return place.as_uri()

    def get(self, kind: str, name: str) -> tuple[str, Path] | None:
        place = self.root.absolute() / kind / name
        if not self.intact(place):
            return None
        with suppress(OSError):
            os.utime(place)
        return place.as_uri(), place

    def newest(self, kind: str, most: int) -> list[Path]:
        """Lists the folders made last, newest first: `get` renews the folder's own time only."""
        made = {place: _made(place) for place in (self.root.absolute() / kind).glob("*")}
        return [place for place in sorted(made, key=made.__getitem__, reverse=True)[:most] if self.intact(place)]

    def find(self, uri: str, digest: str = "") -> Path:
        place = self.place(uri)
        try:
            place.stat()  # not `is_dir`, to which every error of a file system is a no since Python 3.14
        except FileNotFoundError:
            if place.parent.exists():
                raise BadInput(f"artifact {uri} is lost: run again what made it") from None
            shared = "workers that share runs must share DRIFTLINE_HOME"
            raise FileNotFoundError(f"artifact {uri} is not on this machine: {shared}") from None
        if not self.intact(place):
            raise BadInput(f"artifact {uri} was damaged and is set aside: run again what made it")
        if digest and digest != self._recorded(place):
            raise BadInput(f"artifact {uri} has another content than the one that is asked for: run again what made it")
        return place

    def everything(self) -> Iterator[Stored]:
        root = self.root.absolute()
        found = [path for folder in (root, root / "mappings") for kind in _listed(folder) for path in _listed(kind)]
        for place in sorted(path for path in found if path.is_dir()):
            kind = place.parent.relative_to(self.root.absolute()).as_posix()
            scrap = kind == DAMAGED or kind.startswith(".new-")
            whole = place.parent if kind.startswith(".new-") else place
            with suppress(FileNotFoundError):  # a step has just finished, or it was deleted
                if kind == "mappings" and any(path.is_dir() for path in place.iterdir()):
                    continue  # a family, not a mapping
                files = [path.stat() for path in whole.rglob("*") if path.is_file()]
                changed = [whole.stat().st_mtime, *(file.st_mtime for file in files if scrap)]
                used, digest = datetime.fromtimestamp(max(changed), UTC), "" if scrap else self._recorded(place)
                yield Stored(kind, whole.as_uri(), digest, sum(file.st_size for file in files), used)

    def remove(self, stored: Stored) -> None:
        place = self.place(stored.uri)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
        try:
            os.replace(place, aside / place.name)
        finally:
            shutil.rmtree(aside)
        if "/" in stored.kind:
            with suppress(OSError):  # unless it was the last mapping of its family
                place.parent.rmdir()

    def intact(self, place: Path) -> bool:
        """Whether a folder is there with its content. A damaged one is moved to `damaged/`, so that it is made again."""
        if not place.is_dir():
            return False
        if hash_folder(place) == self._recorded(place):
            return True
        aside = self.root / DAMAGED
        aside.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another worker was faster
            os.replace(place, Path(tempfile.mkdtemp(prefix=f"{place.parent.name}-", dir=aside)) / place.name)
        log.warning("a damaged artifact was set aside", artifact=str(place), moved_to=str(aside))
        return False

    def _recorded(self, place: Path) -> str:
        """What its content's hash has to be: its name, or what a file in it says."""
        if place.parent.parent == self.root.absolute():
            return place.name
        digest = place / DIGEST
        if not digest.exists():  # of a version that kept none: it is taken as it is
            digest.write_text(hash_folder(place))
        return digest.read_text()

    def place(self, uri: str) -> Path:
        """Resolves a URI to its folder. One that names an artifact of a home elsewhere means that of the same content here.

        Raises:
            BadInput: outside of `root`.
        """
        place = Path(os.path.normpath(unquote(urlsplit(uri).path)))
        if not place.is_relative_to(self.root.absolute()) and (moved := MOVED.search(place.as_posix())):
            place = self.root.absolute() / moved[1]
        if not place.is_relative_to(self.root.absolute()) or not place.resolve().is_relative_to(self.root.resolve()):
            raise BadInput(f"artifact {uri} is not in {self.root}: workers that share runs must share DRIFTLINE_HOME")
        return place


def _made(place: Path) -> float:
    return max((path.stat().st_mtime for path in place.glob("*")), default=0.0)


def _listed(folder: Path) -> list[Path]:
    """What a folder holds; nothing where it is gone, or is a file. A glob fails on one that another takes away meanwhile."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
