"""Files and folders that are either complete or not there: written aside, flushed to disk, then renamed."""

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Damaged(RuntimeError):
    """The content of a file or folder is not its hash."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; on success it becomes `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        flush(aside)
        aside.rename(path)
        flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` to fill; on success it replaces `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    aside.mkdir()
    try:
        yield aside
        flush_folder(aside)
        if path.exists():
            shutil.rmtree(path)
        aside.rename(path)
        flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def flush_folder(path: Path) -> None:
    """Has the disk hold all that is in the folder."""
    for part in [*path.rglob("*"), path]:
        flush(part)


def sha256(*paths: Path) -> str:
    """Hash of the files' contents, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def flush(path: Path) -> None:
    """Has the disk hold a file, or a folder's own list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():  # SMB and some FUSE have no fsync of folders
            raise
    finally:
        os.close(descriptor)
