"""The cadence: its days, and what people decided instead."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Double, Identity, PrimaryKeyConstraint, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from driftline.db.schema.columns import INSTANT, metadata, reference

_ACTIONS = "action IN ('none', 'counts', 'rag_refresh', 'fine_tune')"

cadence_override = Table(
    "cadence_override",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order; the newest counts"),
    Column("channel", Text, nullable=False, comment="Whose cadence"),
    Column("action", Text, nullable=False, comment="What is done on these days: none | counts | rag_refresh | fine_tune"),
    Column("first_day", Date, nullable=False, comment="First nominal day"),
    Column("last_day", Date, nullable=False, comment="Last nominal day"),
    Column("said_by", Text, nullable=False, comment="Who said so"),
    Column("known_by", Text, nullable=False, comment="How the name is known, as of a verdict"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("created_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint(_ACTIONS, name="action"),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("said_by <> '' AND reason <> ''", name="said"),
    comment="What people said about coming days, against what the cadence would decide",
)

cadence_day = Table(
    "cadence_day",
    metadata,
    Column("channel", Text, nullable=False, comment="Whose cadence"),
    Column("day", Date, nullable=False, comment="Nominal day: the log is known up to its midnight"),
    Column("action", Text, nullable=False, comment="What was started: none | counts | rag_refresh | fine_tune"),
    Column("reasons", ARRAY(Text), nullable=False, comment="Why, in words"),
    Column("measured", JSONB, comment="What the day before said; null: it was not measured"),
    Column("cost", Double, nullable=False, comment="Seconds that the action was expected to take"),
    Column("budget_left", Double, comment="Seconds left after it; null: there is no limit"),
    Column("settings", JSONB, nullable=False, comment="The cadence's settings that day"),
    reference("override", "cadence_override.id", "The override that decided", nullable=True),
    Column("workflow_id", Text, nullable=False, comment="Workflow that decided"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    Column("created_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint(_ACTIONS, name="action"),
    PrimaryKeyConstraint("channel", "day"),
    comment="Every day that a cadence decided about, whether it acted or not",
)
