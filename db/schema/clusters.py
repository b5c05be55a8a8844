"""Cluster sets: clusters, their items and their centres."""

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from driftline.db.schema.columns import created, key, metadata, reference, version

cluster_set = Table(
    "cluster_set",
    metadata,
    version(),
    key("the clusters, their items and the method"),
    Column("method", JSONB, nullable=False, comment="How the set was made"),
    Column("clusters", Integer, nullable=False, comment="|C|; cluster ids are 0..|C|-1"),
    Column("items", BigInteger, nullable=False, comment="Items assigned to a cluster"),
    created(),
    comment="A version of the set C of all clusters; everything else names the cluster set it was made with",
)

cluster = Table(
    "cluster",
    metadata,
    reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("cluster", Integer, nullable=False, comment="Id within the set, from 0"),
    Column("name", Text, nullable=False, comment="Short name, for people"),
    Column("description", Text, nullable=False, comment="The exact text the LLM must write"),
    Column("keywords", ARRAY(Text), nullable=False, comment="Keywords, most telling first"),
    Column("traffic", BigInteger, nullable=False, comment="Positive events of its items"),
    PrimaryKeyConstraint("cluster_set", "cluster"),
    UniqueConstraint("cluster_set", "description"),
    comment="One interest: a topically coherent group of items",
)

cluster_item = Table(
    "cluster_item",
    metadata,
    reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("item", Text, nullable=False, comment="Item id of the log"),
    Column("cluster", Integer, nullable=False, comment="The item's cluster"),
    PrimaryKeyConstraint("cluster_set", "item"),
    ForeignKeyConstraint(["cluster_set", "cluster"], ["cluster.cluster_set", "cluster.cluster"]),
    comment="Which cluster an item belongs to",
)

cluster_centre = Table(
    "cluster_centre",
    metadata,
    reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("cluster", Integer, nullable=False, comment="Id within the set"),
    Column("centre", ARRAY(REAL), nullable=False, comment="Mean embedding of its items, weighted by traffic, of length 1"),
    Column("model", Text, nullable=False, comment="The embedding model"),
    PrimaryKeyConstraint("cluster_set", "cluster"),
    ForeignKeyConstraint(["cluster_set", "cluster"], ["cluster.cluster_set", "cluster.cluster"]),
    comment="The middle of each cluster, to which new items are compared; a cluster whose items have no text has none",
)
