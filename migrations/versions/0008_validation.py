"""What a training was validated on, and its curve in the lineage."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

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
        FROM gate g LEFT JOIN verdict r USING (gate_id) WHERE g.table_version = t.version) AS gates,
    (SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.id), '[]') FROM publication p WHERE p.to_version = t.version)
        AS publications,
    t.cost,
    (SELECT coalesce(jsonb_agg(to_jsonb(w) - 'table_version' ORDER BY w.version), '[]') FROM report w
        WHERE w.table_version = t.version) AS reports{more}
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
JOIN model m ON m.version = t.model_version
JOIN counts mc ON mc.version = m.counts_version{joined};
"""
MORE = """,
    m.validation_counts AS validation_counts_version, mv.window_start AS validation_window_start,
    mv.window_end AS validation_window_end, m.metrics->'validation' AS validation"""
JOINED = "\nLEFT JOIN counts mv ON mv.version = m.validation_counts"


def upgrade() -> None:
    op.add_column(
        "model",
        sa.Column(
            "validation_counts",
            sa.BigInteger(),
            sa.ForeignKey("counts.version", name=op.f("model_validation_counts_fkey")),
            nullable=True,
            comment="Counts of the window that chose its checkpoint",
        ),
    )
    op.execute(LINEAGE.format(more=MORE, joined=JOINED))


def downgrade() -> None:
    op.execute("DROP VIEW table_lineage")
    op.execute(LINEAGE.format(more="", joined=""))
    op.execute(
        "COMMENT ON VIEW table_lineage IS 'From a transition table to everything it was made of, and to everyone who had a say'"
    )
    op.drop_column("model", "validation_counts")
