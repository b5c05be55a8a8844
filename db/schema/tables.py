"""Transition tables. `transition` has a partition per version."""

from sqlalchemy import REAL, BigInteger, Boolean, CheckConstraint, Column, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from driftline.db.schema.columns import INSTANT, created, key, metadata, reference, version

transition_table = Table(
    "transition_table",
    metadata,
    version(),
    key("kind, nominal time, model, counts, prompts and decoding"),
    Column("kind", Text, nullable=False, comment="fine_tune | rag"),
    Column("nominal", INSTANT, nullable=False, comment="The schedule's nominal time; windows come from it"),
    reference("cluster_set", "cluster_set.version", "Cluster set of its pairs"),
    reference("counts_version", "counts.version", "llm: counts trained on, or retrieved from; else: counts that answered"),
    reference("model_version", "model.version", "Model that answered; null: a table of counts", nullable=True),
    Column("prompts_hash", Text, comment="Hash of template, descriptions and retrieved lines; null: a table of counts"),
    Column("unseen", Integer, nullable=False, comment="rag: pairs without a retrieved line"),
    Column("mapping_hash", Text, nullable=False, comment="SHA-256 of the mapping file"),
    Column("generation", JSONB, comment="Decoding parameters; null: a table of counts"),
    Column("retrieval", JSONB, comment="rag: how successors were retrieved"),
    Column("rows", Integer, nullable=False, comment="Pairs in the table"),
    Column("exact", Integer, comment="Pairs whose free greedy answer is a description; null: no LLM was asked"),
    Column("complete", Boolean, nullable=False, comment="Every ordered pair of the cluster set is there"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that made it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    created(),
    Column("cost", JSONB, comment="What bulk inference spent: tokens forwarded, pairs asked and reused, seconds"),
    Column("computed", JSONB, comment="What bulk inference computed with: engine, precision, device and versions, as resolved"),
    Column("answers", Text, nullable=False, server_default="llm", comment="What it is made of: llm | blend | counts"),
    reference("known_counts", "counts.version", "blend, counts: counts that were fitted with", nullable=True),
    reference("validation_counts", "counts.version", "blend, counts: of the window that fitted the weights", nullable=True),
    Column("weights", JSONB, comment="blend, counts: what was fitted, by name: {value, low, high} (95 % interval)"),
    Column("likeliest", Integer, comment="Pairs whose greedy answer has the highest log p; null: no scores were kept"),
    CheckConstraint("kind IN ('fine_tune', 'rag')", name="kind"),
    CheckConstraint("answers IN ('llm', 'blend', 'counts')", name="answers"),
    CheckConstraint("answers = 'counts' OR (model_version IS NOT NULL AND prompts_hash IS NOT NULL)", name="model"),
    comment="A transition table: a mapping stored as a version; the product",
)

transition = Table(
    "transition",
    metadata,
    Column("version", BigInteger, nullable=False, comment="Transition table"),
    Column("c1", Integer, nullable=False, comment="First cluster the user showed"),
    Column("c2", Integer, nullable=False, comment="Second cluster the user showed"),
    Column("c_next", Integer, nullable=False, comment="The novel cluster to explore next"),
    Column(
        "decoding",
        Text,
        comment="Of the LLM's answer. exact: also the free greedy one | constrained: only by constraint; null: it was not asked",
    ),
    Column("free", Text, comment="constrained: where the free answer leaves the constrained one"),
    Column("retrieved", ARRAY(Integer), nullable=False, comment="Clusters on the prompt's retrieved line"),
    Column("score", REAL, comment="log p of the answer, under what the table is made of; null: not on record"),
    Column("llm_next", Integer, comment="blend: the LLM's own greedy answer, which decoding and free are about"),
    PrimaryKeyConstraint("version", "c1", "c2"),
    CheckConstraint("c1 <> c2 AND c_next <> c1 AND c_next <> c2", name="novel"),
    CheckConstraint("decoding IN ('exact', 'constrained')", name="decoding"),
    comment="Rows of the transition tables; one partition per version",
    postgresql_partition_by="LIST (version)",
)
