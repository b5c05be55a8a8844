"""What a table's answers were computed with, in its lineage."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
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
        WHERE w.table_version = t.version) AS reports,
    m.validation_counts AS validation_counts_version, mv.window_start AS validation_window_start,
    mv.window_end AS validation_window_end, m.metrics->'validation' AS validation{more}
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
JOIN model m ON m.version = t.model_version
JOIN counts mc ON mc.version = m.counts_version
LEFT JOIN counts mv ON mv.version = m.validation_counts;
"""
COMMENT = "COMMENT ON VIEW table_lineage IS 'From a transition table to everything it was made of, and to everyone who had a say'"
MORE = ",\n    t.computed, m.metrics->'computed' AS model_computed"


def upgrade() -> None:
    op.add_column(
        "transition_table",
        sa.Column(
            "computed",
            postgresql.JSONB(),
            nullable=True,
            comment="What bulk inference computed with: engine, precision, device and versions, as resolved",
        ),
    )
    op.execute(LINEAGE.format(more=MORE))


def downgrade() -> None:
    op.execute("DROP VIEW table_lineage")
    op.execute(LINEAGE.format(more=""))
    op.execute(COMMENT)
    op.drop_column("transition_table", "computed")
