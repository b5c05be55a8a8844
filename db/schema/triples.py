"""Counts of triples in a window. `transition_count` has a partition per version."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import INSTANT, created, key, metadata, reference, version

counts = Table(
    "counts",
    metadata,
    version(),
    key("cluster set, assignment, window, de-duplication, predicate and rows"),
    reference("cluster_set", "cluster_set.version", "Cluster set the triples are written in"),
    Column("window_start", INSTANT, nullable=False, comment="First instant of the window"),
    Column("window_end", INSTANT, nullable=False, comment="First instant after the window"),
    Column("dedup", Text, nullable=False, comment="De-duplication of sequences: first | adjacent"),
    Column("predicate", Text, nullable=False, comment="What counted as positive engagement"),
    Column("events", BigInteger, nullable=False, comment="Events read in the window"),
    Column("users", BigInteger, nullable=False, comment="Users with an event in the window"),
    Column("triples", BigInteger, nullable=False, comment="Occurrences: the sum of all counts"),
    Column("distinct_triples", BigInteger, nullable=False, comment="Rows in transition_count"),
    Column("dropped", JSONB, nullable=False, comment="What was left out, by reason"),
    created(),
    reference("assignment", "assignment.version", "Which items its clusters had; null: the set's own", nullable=True),
    CheckConstraint("window_start < window_end", name="window"),
    CheckConstraint("dedup IN ('first', 'adjacent')", name="dedup"),
    comment="A counts version: how often each triple occurred in a window",
)

transition_count = Table(
    "transition_count",
    metadata,
    Column("version", BigInteger, nullable=False, comment="Counts version"),
    Column("c1", Integer, nullable=False, comment="First cluster of the ordered pair"),
    Column("c2", Integer, nullable=False, comment="Second cluster of the ordered pair"),
    Column("c_next", Integer, nullable=False, comment="The successor: the next distinct cluster"),
    Column("n", BigInteger, nullable=False, comment="Occurrences in the window"),
    PrimaryKeyConstraint("version", "c1", "c2", "c_next"),
    CheckConstraint("c1 <> c2 AND c_next <> c1 AND c_next <> c2", name="distinct"),
    CheckConstraint("n > 0", name="occurs"),
    comment="Triples of a counts version; one partition per version",
    postgresql_partition_by="LIST (version)",
)

pair_traffic = Table(
    "pair_traffic",
    metadata,
    Column("version", BigInteger, ForeignKey("counts.version"), primary_key=True, autoincrement=False, comment="Counts version"),
    Column("c1", LargeBinary, nullable=False, comment="First cluster of each pair, 4 bytes each, ascending"),
    Column("c2", LargeBinary, nullable=False, comment="Second cluster of each pair, 4 bytes each"),
    Column("n", LargeBinary, nullable=False, comment="Occurrences of each pair, 8 bytes each"),
    comment="Occurrences of each ordered pair of a counts version, as columns of big-endian integers; the sum of its triples",
)
