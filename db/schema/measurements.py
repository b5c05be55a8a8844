"""Measurements."""

from sqlalchemy import CheckConstraint, Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from driftline.db.schema.columns import created, key, metadata, reference, version

measurement = Table(
    "measurement",
    metadata,
    version(),
    key("kind, subject, inputs, result and the measurement before"),
    Column("kind", Text, nullable=False, comment="drift | staleness | refresh | answers | retrieval | quality | names | policy"),
    reference("cluster_set", "cluster_set.version", "Cluster set it was measured in"),
    reference("table_version", "transition_table.version", "quality: the table", nullable=True),
    reference("model_version", "model.version", "refresh, answers, retrieval: the model that answered", nullable=True),
    Column("inputs", JSONB, nullable=False, comment="Everything it was computed from: versions, hashes, windows, knobs"),
    Column("result", JSONB, nullable=False, comment="The numbers, each with its interval and n"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that measured it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    created(),
    CheckConstraint(
        "kind IN ('drift', 'staleness', 'refresh', 'answers', 'retrieval', 'quality', 'names', 'policy')",
        name="kind",
    ),
    Index(None, "cluster_set", "kind", "version"),
    Index(None, "table_version"),
    comment="A measured result, with what it was computed from",
)
