"""Live experiments: their designs, measurements and ends."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import INSTANT, created, key, metadata, version

experiment = Table(
    "experiment",
    metadata,
    Column("name", Text, primary_key=True, comment="Never used twice"),
    Column("design", JSONB, nullable=False, comment="Metrics, channels and their weights, salt, days; as they were at the start"),
    Column("starts_at", INSTANT, nullable=False, comment="Midnight (UTC) with which its first day begins"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that measures it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    created(),
    comment="A live experiment: users on two channels, compared day by day",
)

experiment_measurement = Table(
    "experiment_measurement",
    metadata,
    version(),
    key("experiment, days, result and the version before"),
    Column("experiment", Text, ForeignKey("experiment.name"), nullable=False, comment="The experiment"),
    Column("days", Integer, nullable=False, comment="Whole days since its start"),
    Column("mismatch", Boolean, nullable=False, comment="The split of the users is not that of the weights: there is no result"),
    Column("result", JSONB, nullable=False, comment="Users, metrics by day and cumulated, with a format number"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that measured it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    created(),
    CheckConstraint("days > 0", name="days"),
    Index(None, "experiment", "version"),
    comment="What an experiment had come to after so many days; the newest counts",
)

experiment_end = Table(
    "experiment_end",
    metadata,
    Column("experiment", Text, ForeignKey("experiment.name"), primary_key=True, comment="The experiment"),
    Column("outcome", Text, nullable=False, comment="completed | stopped"),
    Column("actor", Text, nullable=False, comment="Who stopped it"),
    Column("reason", Text, nullable=False, comment="Why"),
    created(),
    CheckConstraint("outcome IN ('completed', 'stopped')", name="outcome"),
    comment="How an experiment ended: after its days, or stopped by somebody",
)
