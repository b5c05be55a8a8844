"""Files that cross between steps, kept under the hash of their content: written once, never changed, checked when read."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog

from driftline.contracts import BadInput

log = structlog.get_logger("artifacts")

DIGEST = "sha256"
"""File in a folder that is not named by its content: the hash of the rest."""
_NOT_CONTENT = {"train.json", "cost.json", "computed.json", DIGEST}
"""Seconds, losses and machines: they differ between two runs that made the same adapter or mapping."""


def hash_folder(folder: Path) -> str:
    """SHA-256 (hex) over the names and bytes of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _NOT_CONTENT):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True)
class Artifacts:
    """
    Attributes:
        root: nothing outside of it is read or written, whatever a URI says.
    """

    root: Path

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A scratch folder beside the artifacts, gone afterwards; fill it and `store` it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.root) as name:
            content = Path(name) / "content"
            content.mkdir()
            yield content

    def store(self, kind: str, folder: Path) -> tuple[str, str]:
        """Copy a finished folder to its content address, in place of a damaged one. Returns its URI and hash.

        A copy, so that a step which fails after this finds its work again.
        """
        digest = hash_folder(folder)
        place = self.root.absolute() / kind / digest
        if not self.intact(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with self.folder() as copy:
                shutil.copytree(folder, copy, dirs_exist_ok=True)
                _sync(copy)
                try:
                    os.replace(copy, place)
                except OSError:
                    if not place.exists():  # else another step has just stored the same
                        raise
        return place.as_uri(), digest

    def find(self, uri: str, digest: str = "") -> Path:
        """The folder that a URI names, its content checked; with `digest`, it has to be this one.

        Raises:
            BadInput: it is lost (the folder of its kind is here without it), damaged (then it is set aside), or not in `root`.
            OSError: it cannot be seen from here now, and may be seen later or by another worker.
        """
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

    def intact(self, place: Path) -> bool:
        """Whether a folder is there with its content. A damaged one is moved to `damaged/`, so that it is made again."""
        if not place.is_dir():
            return False
        if hash_folder(place) == self._recorded(place):
            return True
        aside = self.root / "damaged"
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
        """Where a URI points to.

        Raises:
            BadInput: outside of `root`.
        """
        place = Path(os.path.normpath(unquote(urlsplit(uri).path)))
        if not place.is_relative_to(self.root.absolute()) or not place.resolve().is_relative_to(self.root.resolve()):
            raise BadInput(f"artifact {uri} is not in {self.root}: workers that share runs must share DRIFTLINE_HOME")
        return place


def _sync(folder: Path) -> None:
    """To the disk, so that a power cut leaves no row in Postgres that names an empty file."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():  # SMB and some FUSE have none of folders
                raise
        finally:
            os.close(handle)
