"""Measurements and reports, what tables cost, and both in the lineage."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

APPEND_ONLY = ("measurement", "report")

COST = """
CREATE VIEW table_cost AS
SELECT t.version, t.kind, t.nominal, t.cluster_set, t.rows, c.window_end,
    o.published_at, o.published_at - c.window_end AS delay,
    (SELECT (q.result->>'changed')::float8 FROM measurement q
        WHERE q.table_version = t.version AND q.kind = 'quality' ORDER BY q.version DESC LIMIT 1) AS changed,
    (m.metrics->>'tokens')::bigint AS tokens_trained,
    (m.metrics->>'cpu_seconds')::float8 AS train_cpu_seconds,
    (m.metrics->>'gpu_seconds')::float8 AS train_gpu_seconds,
    (m.metrics->>'wall_seconds')::float8 AS train_wall_seconds,
    (t.cost->>'tokens')::bigint AS tokens_forwarded,
    (t.cost->>'asked')::bigint AS asked,
    (t.cost->>'reused')::bigint AS reused,
    (t.cost->>'cpu_seconds')::float8 AS generate_cpu_seconds,
    (t.cost->>'gpu_seconds')::float8 AS generate_gpu_seconds,
    (t.cost->>'wall_seconds')::float8 AS generate_wall_seconds
FROM transition_table t
JOIN counts c ON c.version = t.counts_version
JOIN table_overview o ON o.version = t.version
LEFT JOIN model m ON m.version = t.model_version AND t.kind = 'fine_tune';
COMMENT ON VIEW table_cost IS 'What each table cost, and how long after its data it was served; a refresh trains nothing';
COMMENT ON COLUMN table_cost.delay IS 'From the end of the data window to the first publication; long for a run of a past date';
COMMENT ON COLUMN table_cost.changed IS 'Share of pairs whose answer differs from the table before';
COMMENT ON COLUMN table_cost.reused IS 'Pairs whose prompt the model had answered before';
"""

LINEAGE = """
CREATE OR REPLACE VIEW table_lineage AS
SELECT t.version, t.kind, t.nominal, t.rows, t.complete, t.prompts_hash, t.unseen, t.mapping_hash, t.generation, t.retrieval,
    t.workflow_id, t.run_id, t.created_at,
    t.cluster_set, s.method AS cluster_method, s.key AS cluster_key,
    t.counts_version, c.window_start, c.window_end, c.dedup, c.predicate, c.events, c.users, c.triples, c.dropped,
    t.model_version, m.base_model, m.adapter_uri, m.adapter_hash, m.samples_hash, m.recipe,
    m.workflow_id AS model_workflow_id, m.run_id AS model_run_id,
    m.counts_version AS model_counts_version, mc.window_start AS model_window_start, mc.window_end AS model_window_end,
    (SELECT to_jsonb(e) - 'table_version' FROM evaluation e WHERE e.table_version = t.version ORDER BY id DESC LIMIT 1)
        AS evaluation,
    (SELECT coalesce(jsonb_agg(to_jsonb(g) - 'table_version' || coalesce(to_jsonb(r), '{{}}') ORDER BY g.opened_at), '[]')
        FROM gate g LEFT JOIN review r USING (gate_id) WHERE g.table_version = t.version) AS gates,
    (SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.id), '[]') FROM publication p WHERE p.to_version = t.version)
        AS publications{more}
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
JOIN model m ON m.version = t.model_version
JOIN counts mc ON mc.version = m.counts_version;
"""
MORE = """,
    t.cost,
    (SELECT coalesce(jsonb_agg(to_jsonb(w) - 'table_version' ORDER BY w.version), '[]') FROM report w
        WHERE w.table_version = t.version) AS reports"""


def upgrade() -> None:
    op.add_column(
        "transition_table",
        sa.Column(
            "cost",
            postgresql.JSONB(),
            nullable=True,
            comment="What bulk inference spent: tokens forwarded, pairs asked and reused, seconds",
        ),
    )
    op.create_table(
        "measurement",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of kind, subject, inputs, result and the measurement before: the same input is the same version",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="drift | staleness | refresh | answers | retrieval | quality"),
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Cluster set it was measured in"),
        sa.Column("table_version", sa.BigInteger(), nullable=True, comment="quality: the table"),
        sa.Column(
            "model_version", sa.BigInteger(), nullable=True, comment="refresh, answers, retrieval: the model that answered"
        ),
        sa.Column(
            "inputs",
            postgresql.JSONB(),
            nullable=False,
            comment="Everything it was computed from: versions, hashes, windows, knobs",
        ),
        sa.Column("result", postgresql.JSONB(), nullable=False, comment="The numbers, each with its interval and n"),
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="Workflow that measured it"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run of that workflow"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.CheckConstraint(
            "kind IN ('drift', 'staleness', 'refresh', 'answers', 'retrieval', 'quality')", name=op.f("measurement_kind_check")
        ),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("measurement_cluster_set_fkey")),
        sa.ForeignKeyConstraint(["table_version"], ["transition_table.version"], name=op.f("measurement_table_version_fkey")),
        sa.ForeignKeyConstraint(["model_version"], ["model.version"], name=op.f("measurement_model_version_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("measurement_pkey")),
        sa.UniqueConstraint("key", name=op.f("measurement_key_key")),
        comment="A measured result, with what it was computed from",
    )
    op.create_index(op.f("measurement_cluster_set_kind_version_idx"), "measurement", ["cluster_set", "kind", "version"])
    op.create_index(op.f("measurement_table_version_idx"), "measurement", ["table_version"])
    op.create_table(
        "report",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of table, measurements, findings and the report before: the same input is the same version",
        ),
        sa.Column("table_version", sa.BigInteger(), nullable=False, comment="The table that is reported on"),
        sa.Column(
            "measurements",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=False,
            comment="Versions of the measurements it rests on",
        ),
        sa.Column("findings", postgresql.JSONB(), nullable=False, comment="Its summary, most important first: [{level, text}]"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.ForeignKeyConstraint(["table_version"], ["transition_table.version"], name=op.f("report_table_version_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("report_pkey")),
        sa.UniqueConstraint("key", name=op.f("report_key_key")),
        comment="What the measurements say about a table; a table's newest report counts",
    )
    op.create_index(op.f("report_table_version_version_idx"), "report", ["table_version", "version"])
    for table in APPEND_ONLY:
        each = f"BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW"
        op.execute(f"CREATE TRIGGER refuse_change {each} EXECUTE FUNCTION refuse_change()")
        op.execute(f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
    op.execute(COST)
    op.execute(LINEAGE.format(more=MORE))


def downgrade() -> None:
    op.execute("DROP VIEW table_cost, table_lineage")
    op.execute(LINEAGE.format(more=""))
    op.execute(
        "COMMENT ON VIEW table_lineage IS 'From a transition table to everything it was made of, and to everyone who had a say'"
    )
    op.drop_table("report")
    op.drop_table("measurement")
    op.drop_column("transition_table", "cost")
