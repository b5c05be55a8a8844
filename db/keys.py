"""What makes a version the same version: content hashes, and the lock under which one is looked up or made."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    import pyarrow as pa


def content_key(*parts: object) -> str:
    """SHA-256 of values of any depth: JSON types, instants (compared in UTC) and Arrow tables (rows in their order)."""
    import pyarrow as pa

    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, pa.Table):
            for name in sorted(part.column_names):
                digest.update(f"{name}:".encode())
                digest.update(_column(part[name]))
        else:
            digest.update(json.dumps(part, sort_keys=True, default=_plain).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def lock(conn: Connection, name: str) -> None:
    """Let one transaction at a time past this line for `name`, until it ends."""
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _column(column: pa.ChunkedArray) -> bytes:
    import pyarrow as pa

    if pa.types.is_integer(column.type) and not column.null_count:
        return bytes(column.cast(pa.int64()).to_numpy().tobytes())
    return json.dumps(column.to_pylist()).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"cannot hash a {type(value).__name__}")
