"""Reviews, verdicts, and consents that wait for those of a second person."""

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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from driftline.db.schema.columns import INSTANT, metadata, reference

review = Table(
    "gate",
    metadata,
    Column("gate_id", Text, primary_key=True, comment="Hash of candidate and evaluation; a verdict names it"),
    Column("table_version", BigInteger, nullable=False, comment="The candidate that waits"),
    Column("evaluation", BigInteger, nullable=False, comment="The evaluation that stopped it"),
    Column("failed_gates", ARRAY(Text), nullable=False, comment="Names of failed gates; empty: review is always asked for"),
    Column("evidence", JSONB, nullable=False, comment="The evaluation as the reviewer sees it"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that waits for the verdict"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    Column("opened_at", INSTANT, nullable=False, server_default=func.now(), comment="Since when the candidate waits"),
    Column("expires_at", INSTANT, nullable=False, comment="When an unanswered review ends; nothing is published"),
    ForeignKeyConstraint(["evaluation", "table_version"], ["evaluation.id", "evaluation.table_version"]),
    Index(None, "table_version"),
    Column("channel", Text, comment="Where the candidate would be published"),
    comment="Reviews: candidates that wait for a person, or waited; gate_id is the review's id",
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of verdicts"),
    reference("table_version", "transition_table.version", "The table that it is about"),
    Column(
        "gate_id",
        Text,
        ForeignKey("gate.gate_id"),
        unique=True,
        comment="The review that it closes, one verdict each; null: revoke",
    ),
    Column(
        "decision",
        Text,
        nullable=False,
        comment="approve | rerun | abort | revoke | expired (no verdict in time) | superseded (a newer candidate came)",
    ),
    Column("reviewer", Text, nullable=False, comment="Who decided; driftline where nobody did"),
    Column(
        "known_by",
        Text,
        nullable=False,
        server_default="claimed",
        comment="How the reviewer's name is known: login | oidc | proxy | principal | claimed (by whoever sent it) | system",
    ),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("decided_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint("decision IN ('approve', 'rerun', 'abort', 'revoke', 'expired', 'superseded')", name="decision"),
    CheckConstraint("(gate_id IS NULL) = (decision = 'revoke')", name="review"),
    CheckConstraint("known_by IN ('login', 'oidc', 'proxy', 'principal', 'claimed', 'system')", name="known_by"),
    CheckConstraint("reviewer <> ''", name="reviewer"),
    Index(None, "table_version", "id"),
    comment="What was decided about tables; of a person's verdicts about a table the newest decides",
)

consent = Table(
    "consent",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of consents"),
    Column("gate_id", Text, ForeignKey("gate.gate_id"), nullable=False, comment="The review that somebody would approve"),
    Column("reviewer", Text, nullable=False, comment="Who would"),
    Column("known_by", Text, nullable=False, comment="How the name is known, as of a verdict"),
    Column("shown", Text, nullable=False, comment="What they saw; it counts only while it is still so"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("given_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    UniqueConstraint("gate_id", "reviewer", "shown"),
    CheckConstraint("reviewer <> ''", name="reviewer"),
    comment="Approvals of a review that wait for those of a second person (web.two_persons)",
)
