"""Artifacts in a store that workers reach over the network: whatever fsspec knows, e.g. S3. No shared file system is needed.

A folder is published by its manifest, one object that is written last: without it the folder is not there. Each upload has a
place of its own, which the manifest names, so that two which make the same do not mix. What is read is copied to this machine
once, and is its hash, or is not given to anybody.
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import structlog

from driftline.activities.artifacts import DAMAGED, Stored, hash_folder, new_folder
from driftline.contracts import BadInput
from driftline.system.files import Damaged

log = structlog.get_logger("artifacts")

MANIFEST = "manifest.json"
NAMES = re.compile(r"([a-z-]+(?:/[0-9a-f]+)?)/([0-9a-f]+)")
"""Kind and name of an artifact, below the store's address."""
UPLOADED = re.compile(NAMES.pattern + r"/(upload-[0-9a-f]+(?=/)|manifest\.json$)")
INSTALL = {"s3": "pip install 'driftline[s3]'", "gs": "pip install gcsfs", "abfs": "pip install adlfs", "az": "pip install adlfs"}


@dataclass(frozen=True)
class RemoteArtifacts:
    """Keeps artifacts at a URL of fsspec, and a cache of them on this machine.

    Attributes:
        url: e.g. `s3://bucket/driftline`. Nothing outside of it is read or written.
        cache: folder of this machine with what was read; may be deleted at any time when no step works.
    """

    url: str
    cache: Path

    def folder(self) -> AbstractContextManager[Path]:
        return new_folder(self.cache)

    def store(self, kind: str, folder: Path) -> tuple[str, str]:
        digest = hash_folder(folder)
        return self._keep(kind, digest, digest, folder), digest

    def put(self, kind: str, name: str, folder: Path) -> str:
        return self._keep(kind, name, hash_folder(folder), folder)

    def _keep(self, kind: str, name: str, digest: str, folder: Path) -> str:
        files, place = self._files(), self._place(kind, name)
        known = self._manifest(kind, name)
        if known is None or known["hash"] != digest:
            upload = f"upload-{uuid.uuid4().hex}"
            names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            for each in names:
                files.put_file(str(folder / each), f"{place}/{upload}/{each}")
            known = {"hash": digest, "upload": upload, "files": names}
        files.pipe_file(f"{place}/{MANIFEST}", json.dumps(known, indent=1).encode())  # also renews when it was asked for
        return self._uri(kind, name)

    def get(self, kind: str, name: str) -> tuple[str, Path] | None:
        known = self._manifest(kind, name)
        if known is None:
            return None
        try:
            folder = self._local(kind, name, known)
        except BadInput:
            return None
        self._files().pipe_file(f"{self._place(kind, name)}/{MANIFEST}", json.dumps(known, indent=1).encode())
        return self._uri(kind, name), folder

    def newest(self, kind: str, most: int) -> list[Path]:
        """Lists the artifacts that were read last, newest first."""
        found = sorted((each for each, _ in self._manifests(kind)), key=lambda each: each.used, reverse=True)
        whole = []
        for each in found[:most]:
            with suppress(BadInput):
                whole.append(self.find(each.uri))
        return whole

    def find(self, uri: str, digest: str = "") -> Path:
        kind, name = self._names(uri)
        known = self._manifest(kind, name)
        if known is None:
            raise BadInput(f"artifact {uri} is lost: run again what made it")
        if digest not in ("", known["hash"]):
            raise BadInput(f"artifact {uri} has another content than the one that is asked for: run again what made it")
        return self._local(kind, name, known)

    def everything(self) -> Iterator[Stored]:
        whole = {f"{each.uri}/{upload}": each for each, upload in self._manifests()}
        sizes: dict[str, int] = {}
        written: dict[str, datetime] = {}
        for path, about in self._objects():
            match = UPLOADED.match(path)
            where = f"{self.url}/{match[0] if match else path}"
            if not path.endswith(f"/{MANIFEST}") or not match:
                sizes[where] = sizes.get(where, 0) + int(about["size"] or 0)
                written[where] = max(written.get(where, _time(about)), _time(about))
        for where, size in sizes.items():
            if each := whole.get(where):
                yield replace(each, bytes=size)
            else:
                yield Stored(DAMAGED, where, "", size, written[where])

    def remove(self, stored: Stored) -> None:
        if not stored.uri.startswith(f"{self.url}/"):
            raise BadInput(f"artifact {stored.uri} is not in {self.url}")
        files, place = self._files(), self._base() + stored.uri.removeprefix(self.url)
        if stored.hash:
            files.rm_file(f"{place}/{MANIFEST}")
        if files.exists(place):  # some stores have no folders, and with its last file it is gone
            files.rm(place, recursive=True)

    def _local(self, kind: str, name: str, known: dict[str, Any]) -> Path:
        """The folder on this machine, fetched where it is not here yet, or where it is not whole."""
        place = self.cache / hashlib.sha256(json.dumps([kind, name, known]).encode()).hexdigest()[:40]
        if place.is_dir() and hash_folder(place) == known["hash"]:
            return place
        for _ in range(2):  # the way may be what damaged it
            try:
                return self._fetch(self._place(kind, name), known, place)
            except Damaged:
                pass
        files, lost = self._files(), f"{self._place(kind, name)}/{MANIFEST}"
        files.pipe_file(f"{self._base()}/{DAMAGED}/{uuid.uuid4().hex}/{MANIFEST}", json.dumps([kind, name, known]).encode())
        files.rm_file(lost)
        log.warning("a damaged artifact was set aside", artifact=self._uri(kind, name))
        raise BadInput(f"artifact {self._uri(kind, name)} was damaged and is set aside: run again what made it")

    def _fetch(self, remote: str, known: dict[str, Any], place: Path) -> Path:
        files = self._files()
        with self.folder() as new:
            for each in known["files"]:
                if (path := PurePosixPath(each)).is_absolute() or ".." in path.parts:
                    raise BadInput(f"the manifest in {remote} names a file outside of its folder: {each!r}")
                (new / each).parent.mkdir(parents=True, exist_ok=True)
                try:
                    files.get_file(f"{remote}/{known['upload']}/{each}", str(new / each))
                except FileNotFoundError:
                    raise Damaged from None
            if hash_folder(new) != known["hash"]:
                raise Damaged
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):  # another step of this machine was faster
                os.replace(new, place)
        return place

    def _manifest(self, kind: str, name: str) -> dict[str, Any] | None:
        try:
            read: dict[str, Any] = json.loads(self._files().cat_file(f"{self._place(kind, name)}/{MANIFEST}"))
        except FileNotFoundError:
            return None
        # What is named by its content has to be that.
        return read if "/" in kind or read["hash"] == name else None

    def _manifests(self, below: str = "") -> Iterator[tuple[Stored, str]]:
        """Yields what is whole, and where its files are."""
        for path, about in self._objects(below):
            match = NAMES.fullmatch(path.removesuffix(f"/{MANIFEST}"))
            if path.endswith(f"/{MANIFEST}") and match and match[1] != DAMAGED:
                known = self._manifest(match[1], match[2])
                if known is not None:
                    yield Stored(match[1], self._uri(match[1], match[2]), known["hash"], 0, _time(about)), known["upload"]

    def _objects(self, below: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Every object: its path below the store's address, and what the store says of it."""
        base = self._base()
        found: dict[str, dict[str, Any]] = self._files().find(f"{base}/{below}".rstrip("/"), detail=True)
        for path, about in sorted(found.items()):
            yield path.removeprefix(base).lstrip("/"), about

    def _names(self, uri: str) -> tuple[str, str]:
        match = NAMES.fullmatch(uri.removeprefix(f"{self.url}/")) if uri.startswith(f"{self.url}/") else None
        if match is None:
            raise BadInput(f"artifact {uri} is not in {self.url}: workers that share runs must share `artifacts`")
        return match[1], match[2]

    def _uri(self, kind: str, name: str) -> str:
        return f"{self.url}/{kind}/{name}"

    def _place(self, kind: str, name: str) -> str:
        return f"{self._base()}/{kind}/{name}"

    def _base(self) -> str:
        return str(self._files()._strip_protocol(self.url)).rstrip("/")

    def _files(self) -> Any:
        return opened(self.url)


def opened(url: str) -> Any:
    """The store at an address, as fsspec has it. Its own variables configure it, e.g. AWS_* and FSSPEC_S3_ENDPOINT_URL.

    Raises:
        BadInput: fsspec does not know it, or lacks a package.
    """
    import fsspec

    scheme = url.partition("://")[0]
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise BadInput(f"artifacts = {url!r} cannot be used here: {INSTALL.get(scheme, error)}") from None


def _time(about: dict[str, Any]) -> datetime:
    """When the store says that an object was written."""
    found = next(
        (about[name] for name in ("LastModified", "last_modified", "updated", "mtime", "created") if about.get(name)), None
    )
    if isinstance(found, int | float):
        return datetime.fromtimestamp(found, UTC)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    if found is None:
        return datetime.now(UTC)  # a store that tells no time: nothing is old
    return found if found.tzinfo else found.replace(tzinfo=UTC)
