"""Items that came after their cluster set."""

from sqlalchemy import REAL, BigInteger, Column, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import created, key, metadata, reference, version

assignment = Table(
    "assignment",
    metadata,
    version(),
    key("the assignment before, the items and the method"),
    reference("cluster_set", "cluster_set.version", "The set that items were added to"),
    Column("items", BigInteger, nullable=False, comment="Items that this version added"),
    Column("method", JSONB, nullable=False, comment="Embedding model, catalogue, and what it was computed with"),
    created(),
    Index(None, "cluster_set", "version"),
    comment="A version of which items a cluster set has: its own, and those of all its assignments up to this one",
)

assignment_item = Table(
    "assignment_item",
    metadata,
    reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("item", Text, nullable=False, comment="Item id of the log; new to the set"),
    Column("cluster", Integer, nullable=False, comment="The cluster with the nearest centre"),
    reference("assignment", "assignment.version", "The version that added it"),
    Column("similarity", REAL, nullable=False, comment="Cosine of its text's embedding and that centre"),
    PrimaryKeyConstraint("cluster_set", "item"),
    ForeignKeyConstraint(["cluster_set", "cluster"], ["cluster.cluster_set", "cluster.cluster"]),
    Index(None, "assignment"),
    comment="Items that came after their cluster set",
)
