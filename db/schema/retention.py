"""Versions that were pruned, and those that a later run asked for again."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Table, Text, func

from driftline.db.schema.columns import INSTANT, metadata

pruning = Table(
    "pruning",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order"),
    Column("kind", Text, nullable=False, comment="table | counts"),
    Column("version", BigInteger, nullable=False, comment="Of the transition table or the counts"),
    Column("bytes", BigInteger, nullable=False, comment="What was freed, with its index"),
    Column("actor", Text, nullable=False, server_default=func.session_user(), comment="Login that dropped them"),
    Column("at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint("kind IN ('table', 'counts')", name="kind"),
    Index(None, "kind", "version"),
    comment="Versions whose rows were dropped, by whom and when; their records stay",
)

asked_again = Table(
    "asked_again",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order"),
    Column("kind", Text, nullable=False, comment="table | counts"),
    Column("version", BigInteger, nullable=False, comment="Of the transition table or the counts"),
    Column("at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint("kind IN ('table', 'counts')", name="kind"),
    Index(None, "kind", "version", "at"),
    comment="Versions that a later run found instead of making them: their age counts from then",
)
