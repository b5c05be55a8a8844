"""Files that cross between steps, kept under the hash of their content: written once, never changed."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from contracts import BadInput

_NOT_CONTENT = {"train.json", "cost.json"}
"""Seconds and losses: they differ between two runs that made the same adapter or mapping."""


def hash_folder(folder: Path) -> str:
    """SHA-256 (hex) over the names and bytes of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _NOT_CONTENT):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return total.hexdigest()


def local_path(uri: str) -> Path:
    """The folder that a `file://` URI names.

    Raises:
        BadInput: it is lost: the folder of its kind is here without it.
        OSError: it cannot be seen from here now, and may be seen later or by another worker.
    """
    path = Path(unquote(urlsplit(uri).path))
    try:
        path.stat()  # not `is_dir`, to which every error of a file system is a no since Python 3.14
    except FileNotFoundError:
        if path.parent.exists():
            raise BadInput(f"artifact {uri} is lost: run again what made it") from None
        shared = "workers that share runs must share DRIFTLINE_HOME"
        raise FileNotFoundError(f"artifact {uri} is not on this machine: {shared}") from None
    return path


@dataclass(frozen=True)
class Artifacts:
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
        """Copy a finished folder to its content address. Returns its URI and hash.

        A copy, so that a step which fails after this finds its work again.
        """
        digest = hash_folder(folder)
        place = self.root.absolute() / kind / digest
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with self.folder() as copy:
                shutil.copytree(folder, copy, dirs_exist_ok=True)
                try:
                    os.replace(copy, place)
                except OSError:
                    if not place.exists():  # else another step has just stored the same
                        raise
        return place.as_uri(), digest
