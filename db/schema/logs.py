"""Profiles of event logs."""

from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import created, metadata, version

log_profile = Table(
    "log_profile",
    metadata,
    version(),
    Column("source", JSONB, nullable=False, comment="Where the log was read, and how"),
    Column("profile", JSONB, nullable=False, comment="Sizes, span, dropped rows by reason"),
    created(),
    comment="What `driftline ingest` found in the event log",
)
