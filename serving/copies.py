"""Arrays in one file that is there whole or not at all, is checked by its hash, and is mapped rather than read.

SHA-256 of all that follows (32 bytes) · length of the head (8, little-endian) · head (JSON: facts, each array's type and shape) ·
the arrays, each at a multiple of 64 bytes. Processes that map the same file share its memory.
"""

import hashlib
import json
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.system.files import Damaged, atomic_file

Arrays = dict[str, NDArray[Any]]
ALIGNED = 64
BEFORE = 40  # the hash and the head's length


def write(path: Path, facts: dict[str, Any], arrays: Arrays) -> None:
    """Replaces the file as a whole; after a crash there is the old one or the new one."""
    about = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
    head = json.dumps({"facts": facts, "arrays": about}).encode()
    head += b" " * (-(BEFORE + len(head)) % ALIGNED)
    parts = [len(head).to_bytes(8, "little"), head]
    for array in arrays.values():
        data = np.ascontiguousarray(array).tobytes()
        parts += [data, bytes(-len(data) % ALIGNED)]
    replace(path, b"".join([hashlib.sha256(b"".join(parts)).digest(), *parts]))


def replace(path: Path, data: bytes) -> None:
    """Write a file by way of another, which takes its name."""
    with atomic_file(path) as aside:
        aside.write_bytes(data)


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Reads a copy: facts, and arrays, which are read-only.

    Raises:
        FileNotFoundError: there is none.
        Damaged: its content is not its hash.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= BEFORE:
            raise Damaged(f"{path} is damaged: it has {size} bytes")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with memoryview(data) as whole:
        if hashlib.sha256(whole[32:]).digest() != whole[:32]:
            raise Damaged(f"{path} is damaged: its content is not its hash")
    at = BEFORE + int.from_bytes(data[32:BEFORE], "little")
    head = json.loads(data[BEFORE:at])
    arrays: Arrays = {}
    for name, (kind, shape) in head["arrays"].items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(data, kind, count, at).reshape(shape) if count else np.empty(shape, kind)
        size = arrays[name].nbytes
        at += size + -size % ALIGNED
    return head["facts"], arrays
