"""What a table is made of: an LLM's answers, counts, or a blend of both; each row with its score.

A table of counts has no model, no prompts and no decoding.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LINEAGE = """
CREATE {replace} VIEW table_lineage AS
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
    mv.window_end AS validation_window_end, m.metrics->'validation' AS validation,
    t.computed, m.metrics->'computed' AS model_computed{more}
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
{joins}
LEFT JOIN counts mv ON mv.version = m.validation_counts{fitted};
"""
COMMENT = "COMMENT ON VIEW table_lineage IS 'From a transition table to everything it was made of, and to everyone who had a say'"
MORE = """,
    t.answers, t.weights, t.known_counts AS known_counts_version, t.validation_counts AS fitted_counts_version,
    fv.window_start AS fitted_window_start, fv.window_end AS fitted_window_end, t.likeliest"""
FITTED = "\nLEFT JOIN counts fv ON fv.version = t.validation_counts"
JOINS = "{left}JOIN model m ON m.version = t.model_version\n{left}JOIN counts mc ON mc.version = m.counts_version"

VIEWS = """
CREATE VIEW table_weight AS
SELECT t.version, t.answers, w.name, (w.fitted->>'value')::float8 AS value, (w.fitted->>'low')::float8 AS low,
    (w.fitted->>'high')::float8 AS high
FROM transition_table t, jsonb_each(t.weights) AS w(name, fitted);
COMMENT ON VIEW table_weight IS
    'What was fitted on the validation window of a blend or a table of counts, with 95 % intervals; llm is the LLM''s weight: 0 '
    'if it knows nothing that counting does not';

CREATE VIEW current_answer AS
SELECT ch.name AS channel, t.version, v.answers, t.c1, t.c2, t.c_next, t.score, t.decoding, t.llm_next
FROM channel ch
JOIN transition_table v ON v.version = ch.table_version
JOIN transition t ON t.version = ch.table_version;
COMMENT ON VIEW current_answer IS
    'What every channel serves now: what it is made of, its log p, and what the LLM alone would say';

CREATE FUNCTION next_answer(c1 integer, c2 integer, channel text DEFAULT 'default')
RETURNS TABLE (c_next integer, name text, version bigint, decoding text, answers text, score real, llm_next integer)
LANGUAGE sql STABLE AS $$
    SELECT t.c_next, n.name, t.version, t.decoding, v.answers, t.score, t.llm_next
    FROM transition t
    JOIN transition_table v ON v.version = t.version
    JOIN cluster n ON n.cluster_set = v.cluster_set AND n.cluster = t.c_next
    WHERE t.version = (SELECT ch.table_version FROM channel ch WHERE ch.name = next_answer.channel)
        AND t.c1 = next_answer.c1 AND t.c2 = next_answer.c2
$$;
COMMENT ON FUNCTION next_answer(integer, integer, text) IS
    'As next_cluster, and what the answer is made of: llm | blend | counts, with its log p';
"""

TABLE = "transition_table"
NULLABLE = ("model_version", "prompts_hash", "generation", "exact")
COMMENTS = {
    ("transition_table", "model_version"): ("Model that answered; null: a table of counts", "Model that wrote the mapping"),
    ("transition_table", "prompts_hash"): (
        "Hash of template, descriptions and retrieved lines; null: a table of counts",
        "Hash of template, descriptions and retrieved lines",
    ),
    ("transition_table", "generation"): ("Decoding parameters; null: a table of counts", "Decoding parameters"),
    ("transition_table", "exact"): (
        "Pairs whose free greedy answer is a description; null: no LLM was asked",
        "Pairs whose free greedy answer is a description",
    ),
    ("transition_table", "counts_version"): (
        "llm: counts trained on, or retrieved from; else: counts that answered",
        "fine_tune: counts trained on; rag: counts retrieved from",
    ),
    ("transition", "decoding"): (
        "Of the LLM's answer. exact: also the free greedy one | constrained: only by constraint; null: it was not asked",
        "exact: also the free greedy answer | constrained: only by constraint",
    ),
    ("evaluation", "exact_match_rate"): (
        "Share of pairs answered exactly when decoding freely; null: no LLM was asked",
        "Share of pairs answered exactly when decoding freely",
    ),
}


def upgrade() -> None:
    for column in NULLABLE:
        op.execute(f"ALTER TABLE {TABLE} ALTER COLUMN {column} DROP NOT NULL")
    op.execute("ALTER TABLE evaluation ALTER COLUMN exact_match_rate DROP NOT NULL")
    op.execute("ALTER TABLE transition ALTER COLUMN decoding DROP NOT NULL")
    _comment(0)
    made_of = sa.Column(
        "answers", sa.Text(), nullable=False, server_default="llm", comment="What it is made of: llm | blend | counts"
    )
    op.add_column(TABLE, made_of)
    for name, about in (
        ("known_counts", "blend, counts: counts that were fitted with"),
        ("validation_counts", "blend, counts: of the window that fitted the weights"),
    ):
        op.add_column(TABLE, sa.Column(name, sa.BigInteger(), nullable=True, comment=about))
        op.create_foreign_key(op.f(f"{TABLE}_{name}_fkey"), TABLE, "counts", [name], ["version"])
    weights = "blend, counts: what was fitted, by name: {value, low, high} (95 % interval)"
    op.add_column(TABLE, sa.Column("weights", postgresql.JSONB(), nullable=True, comment=weights))
    likeliest = "Pairs whose greedy answer has the highest log p; null: no scores were kept"
    op.add_column(TABLE, sa.Column("likeliest", sa.Integer(), nullable=True, comment=likeliest))
    op.create_check_constraint(op.f(f"{TABLE}_answers_check"), TABLE, "answers IN ('llm', 'blend', 'counts')")
    asked = "answers = 'counts' OR (model_version IS NOT NULL AND prompts_hash IS NOT NULL)"
    op.create_check_constraint(op.f(f"{TABLE}_model_check"), TABLE, asked)
    score = "log p of the answer, under what the table is made of; null: not on record"
    op.add_column("transition", sa.Column("score", sa.REAL(), nullable=True, comment=score))
    alone = "blend: the LLM's own greedy answer, which decoding and free are about"
    op.add_column("transition", sa.Column("llm_next", sa.Integer(), nullable=True, comment=alone))
    op.execute(LINEAGE.format(replace="OR REPLACE", more=MORE, joins=JOINS.format(left="LEFT "), fitted=FITTED))
    op.execute(VIEWS)


def downgrade() -> None:
    """Takes back what upgrading added.

    Raises:
        IntegrityError: there are tables of counts, which no release before this one can read.
    """
    op.execute("DROP FUNCTION next_answer(integer, integer, text)")
    op.execute("DROP VIEW current_answer, table_weight, table_lineage")
    op.execute(LINEAGE.format(replace="", more="", joins=JOINS.format(left=""), fitted=""))
    op.execute(COMMENT)
    for name in ("score", "llm_next"):
        op.drop_column("transition", name)
    for name in ("model", "answers"):
        op.drop_constraint(op.f(f"{TABLE}_{name}_check"), TABLE)
    for name in ("likeliest", "weights", "validation_counts", "known_counts", "answers"):
        op.drop_column(TABLE, name)
    op.execute("ALTER TABLE transition ALTER COLUMN decoding SET NOT NULL")
    op.execute("ALTER TABLE evaluation ALTER COLUMN exact_match_rate SET NOT NULL")
    for column in NULLABLE:
        op.execute(f"ALTER TABLE {TABLE} ALTER COLUMN {column} SET NOT NULL")
    _comment(1)


def _comment(which: int) -> None:
    for (table, column), comments in COMMENTS.items():
        quoted = comments[which].replace("'", "''")
        op.execute(f"COMMENT ON COLUMN {table}.{column} IS '{quoted}'")
