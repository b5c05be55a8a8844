"""Channels and their moves."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from driftline.db.schema.columns import INSTANT, metadata, reference

publication = Table(
    "publication",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of publications"),
    Column("channel", Text, nullable=False, comment="The channel that moved"),
    reference("from_version", "transition_table.version", "Table it pointed at before; null at first", nullable=True),
    reference("to_version", "transition_table.version", "Table it points at from then on"),
    Column("action", Text, nullable=False, comment="publish | rollback"),
    Column("actor", Text, nullable=False, comment="Who moved it"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("gate_id", Text, ForeignKey("gate.gate_id"), comment="The review whose approval permitted it"),
    Column("workflow_id", Text, comment="Workflow that moved it, if one did"),
    Column("run_id", Text, comment="Run of that workflow"),
    Column("at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    UniqueConstraint("id", "channel", "to_version"),
    CheckConstraint("action IN ('publish', 'rollback')", name="action"),
    CheckConstraint("channel <> '' AND actor <> ''", name="named"),
    Index(None, "channel", "id"),
    Index(None, "to_version"),
    comment="Every move of a channel; append-only",
)

channel = Table(
    "channel",
    metadata,
    Column("name", Text, primary_key=True, comment="What serving reads, e.g. default, control, treatment"),
    Column("table_version", BigInteger, nullable=False, comment="The transition table it points at"),
    Column("publication", BigInteger, nullable=False, comment="The move that put it there"),
    ForeignKeyConstraint(
        ["publication", "name", "table_version"], ["publication.id", "publication.channel", "publication.to_version"]
    ),
    comment="A channel's pointer: the only row that is updated in place, always together with a publication",
)
