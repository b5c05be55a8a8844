"""Profiles of the event log, one for each time it was profiled."""

from typing import Any

from sqlalchemy import Connection, insert

from driftline.db.schema import log_profile


def add(conn: Connection, source: dict[str, Any], profile: dict[str, Any]) -> int:
    """Keep a report; returns its version. Both are JSON values."""
    row = {"source": source, "profile": profile}
    return int(conn.execute(insert(log_profile).values(row).returning(log_profile.c.version)).scalar_one())
