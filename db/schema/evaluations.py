"""Evaluations: what the gates judged a candidate by."""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Identity, Index, Integer, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from driftline.db.schema.columns import created, metadata, reference

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Grows with every evaluation"),
    reference("table_version", "transition_table.version", "The candidate"),
    reference("counts_version", "counts.version", "Counts of the test window"),
    Column("exact_match_rate", Double, comment="Share of pairs answered exactly when decoding freely; null: no LLM was asked"),
    Column("recall", Double, comment="Share of the test window's triples that the mapping predicts"),
    Column("recall_low", Double, comment="Lower bound of recall; with measurement: over users, else over triples (ADR 0019)"),
    Column("recall_chance", Double, nullable=False, comment="Recall of a uniform guess: 1/(|C|-2)"),
    Column("recall_popular", Double, comment="Recall of the most popular successor"),
    Column("recall_frequent", Double, comment="Recall of the pair's most frequent successor"),
    Column("test_triples", BigInteger, nullable=False, comment="Occurrences in the test window"),
    Column("coverage", Integer, nullable=False, comment="Distinct clusters that the mapping answers"),
    Column("failed_gates", ARRAY(Text), nullable=False, comment="Names of failed gates; empty when all passed"),
    Column("reasons", JSONB, nullable=False, comment="Why each gate failed"),
    created(),
    Column(
        "review_required",
        Boolean,
        nullable=False,
        server_default="false",
        comment="A person has to decide, also where every gate passed",
    ),
    Column("unknown_share", Double, comment="Share of the positive events that are of items in no cluster: the larger window's"),
    Column("test_users", BigInteger, comment="Users with a triple in the test window; null: not on record"),
    Column(
        "measurement", BigInteger, ForeignKey("measurement.version"), comment="Judged by this one; null: before it was on record"
    ),
    UniqueConstraint("id", "table_version"),
    Index(None, "table_version", "id"),
    comment="What the gates judged a candidate by; a table's newest row counts",
)
