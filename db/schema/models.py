"""Models: what a fine-tune made."""

from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import created, key, metadata, reference, version

model = Table(
    "model",
    metadata,
    version(),
    key("base model, adapter, counts, samples, cluster set and recipe"),
    reference("cluster_set", "cluster_set.version", "Cluster set whose descriptions it learned"),
    reference("counts_version", "counts.version", "Counts the samples were curated from"),
    Column("base_model", Text, nullable=False, comment="The LLM before fine-tuning"),
    Column("adapter_uri", Text, nullable=False, comment="Where the LoRA adapter is kept"),
    Column("adapter_hash", Text, nullable=False, comment="SHA-256 of the adapter"),
    Column("samples_hash", Text, nullable=False, comment="SHA-256 of the fine-tuning samples"),
    Column("recipe", JSONB, nullable=False, comment="Every training knob"),
    Column("metrics", JSONB, nullable=False, comment="What training reported: losses, steps, seconds"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that trained it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    created(),
    reference("validation_counts", "counts.version", "Counts of the window that chose its checkpoint", nullable=True),
    comment="A model version: base model, LoRA adapter and everything needed to make it again",
)
