"""Recommenders: what returns items of an interest."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Double, Index, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import INSTANT, created, key, metadata, reference, version

recommender = Table(
    "recommender",
    metadata,
    version(),
    key("cluster set, assignment, windows, recipe and content"),
    reference("cluster_set", "cluster_set.version", "Cluster set whose items it recommends"),
    reference("assignment", "assignment.version", "Which items its clusters had; null: the set's own", nullable=True),
    Column("nominal", INSTANT, nullable=False, comment="The run's nominal time; windows come from it"),
    Column("window_start", INSTANT, nullable=False, comment="First instant that it was trained on"),
    Column("window_end", INSTANT, nullable=False, comment="First instant after what it has seen"),
    Column("uri", Text, nullable=False, comment="Where weights and item embeddings are kept"),
    Column("hash", Text, nullable=False, comment="SHA-256 of them"),
    Column("sequences_hash", Text, nullable=False, comment="SHA-256 of the item sequences"),
    Column("encoder_uri", Text, nullable=False, comment="Where what training made is kept"),
    Column("encoder_hash", Text, nullable=False, comment="SHA-256 of what training made"),
    Column("recipe", JSONB, nullable=False, comment="Every knob, the catalogue and the embeddings of texts"),
    Column("items", BigInteger, nullable=False, comment="Items that it can recommend"),
    Column("new_items", BigInteger, nullable=False, comment="Of them, those whose vector comes from their text"),
    Column("popularity", Double, nullable=False, comment="Weight of log popularity that the validation days chose"),
    Column("metrics", JSONB, nullable=False, comment="What training reported: losses, NDCG, seconds"),
    Column("measured", JSONB, nullable=False, comment="On the test days: NDCG and hit rate, each beside others"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that made it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    created(),
    CheckConstraint("window_start < window_end", name="window"),
    Index(None, "cluster_set", "version"),
    comment="A version of the sequence recommender: weights, item embeddings and everything needed to make it again",
)
