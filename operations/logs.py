"""The event log: read once, to say what is in it and what is left out."""

from typing import Any

from pydantic import TypeAdapter

from driftline.db import logs as db_logs
from driftline.operations.context import Context
from driftline.sources.profile import Profile, profile

_plain = TypeAdapter(Any)


def ingest(context: Context) -> Profile:
    """Profile the configured log and catalogue, and keep the report in Postgres."""
    source = context.settings.source
    found = profile(source)
    with context.engine.begin() as connection:
        db_logs.add(connection, _plain.dump_python(source, mode="json"), _plain.dump_python(found, mode="json"))
    return found
