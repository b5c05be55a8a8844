"""Views and functions for people who only speak SQL, and the rules that hold for them too."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "cluster_set",
    "cluster",
    "cluster_item",
    "counts",
    "transition_count",
    "model",
    "transition_table",
    "transition",
    "evaluation",
    "gate",
    "review",
    "publication",
)

RULES = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: write a new version instead', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION refuse_change() IS 'Keeps versions as they were written';

CREATE FUNCTION refuse_unapproved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM table_overview WHERE version = NEW.to_version AND complete AND approved) THEN
        RAISE EXCEPTION 'transition table % is incomplete or not approved: it cannot be published', NEW.to_version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION refuse_unapproved() IS 'The last door before serving: holds whoever writes';
CREATE TRIGGER refuse_unapproved BEFORE INSERT ON publication FOR EACH ROW EXECUTE FUNCTION refuse_unapproved();
"""

VIEWS = """
CREATE VIEW table_overview AS
SELECT t.version, t.kind, t.nominal, t.cluster_set, s.clusters, t.rows, t.complete, t.model_version, t.counts_version,
    c.window_start, c.window_end, t.exact::float8 / nullif(t.rows, 0) AS exact_match_rate,
    e.recall, e.recall_low, e.recall_chance, e.recall_popular, e.recall_frequent, e.test_triples, e.coverage, e.failed_gates,
    EXISTS (SELECT FROM gate g JOIN review r USING (gate_id) WHERE g.evaluation = e.id AND r.decision = 'approve')
        OR (cardinality(e.failed_gates) = 0 AND NOT EXISTS (SELECT FROM gate g WHERE g.evaluation = e.id)) IS TRUE AS approved,
    ARRAY(SELECT name FROM channel WHERE table_version = t.version ORDER BY name) AS channels,
    (SELECT min(at) FROM publication WHERE to_version = t.version) AS published_at,
    t.workflow_id, t.run_id, t.created_at
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
LEFT JOIN LATERAL (SELECT * FROM evaluation WHERE table_version = t.version ORDER BY id DESC LIMIT 1) e ON true;
COMMENT ON VIEW table_overview IS 'One row per transition table, with its window, newest evaluation, approval and channels';
COMMENT ON COLUMN table_overview.approved IS
    'By its newest evaluation: all gates passed and no review was asked for, or a reviewer approved it';
COMMENT ON COLUMN table_overview.published_at IS 'When a channel first pointed at it';

CREATE VIEW table_lineage AS
SELECT t.version, t.kind, t.nominal, t.rows, t.complete, t.prompts_hash, t.unseen, t.mapping_hash, t.generation, t.retrieval,
    t.workflow_id, t.run_id, t.created_at,
    t.cluster_set, s.method AS cluster_method, s.key AS cluster_key,
    t.counts_version, c.window_start, c.window_end, c.dedup, c.predicate, c.events, c.users, c.triples, c.dropped,
    t.model_version, m.base_model, m.adapter_uri, m.adapter_hash, m.samples_hash, m.recipe,
    m.workflow_id AS model_workflow_id, m.run_id AS model_run_id,
    m.counts_version AS model_counts_version, mc.window_start AS model_window_start, mc.window_end AS model_window_end,
    (SELECT to_jsonb(e) - 'table_version' FROM evaluation e WHERE e.table_version = t.version ORDER BY id DESC LIMIT 1)
        AS evaluation,
    (SELECT coalesce(jsonb_agg(to_jsonb(g) - 'table_version' || coalesce(to_jsonb(r), '{}') ORDER BY g.opened_at), '[]')
        FROM gate g LEFT JOIN review r USING (gate_id) WHERE g.table_version = t.version) AS gates,
    (SELECT coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.id), '[]') FROM publication p WHERE p.to_version = t.version)
        AS publications
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
JOIN model m ON m.version = t.model_version
JOIN counts mc ON mc.version = m.counts_version;
COMMENT ON VIEW table_lineage IS 'From a transition table to everything it was made of, and to everyone who had a say';

CREATE VIEW current_transition AS
SELECT ch.name AS channel, t.version, t.c1, a.name AS c1_name, t.c2, b.name AS c2_name,
    t.c_next, n.name AS c_next_name, t.decoding
FROM channel ch
JOIN transition_table v ON v.version = ch.table_version
JOIN transition t ON t.version = ch.table_version
JOIN cluster a ON a.cluster_set = v.cluster_set AND a.cluster = t.c1
JOIN cluster b ON b.cluster_set = v.cluster_set AND b.cluster = t.c2
JOIN cluster n ON n.cluster_set = v.cluster_set AND n.cluster = t.c_next;
COMMENT ON VIEW current_transition IS 'What every channel serves now, with names';

CREATE VIEW publication_history AS
SELECT p.id, p.at, p.channel, p.action, p.from_version, p.to_version, t.kind, t.nominal, p.actor, p.reason,
    p.gate_id, r.reviewer, r.reason AS review_reason, p.workflow_id, p.run_id
FROM publication p
JOIN transition_table t ON t.version = p.to_version
LEFT JOIN review r ON r.gate_id = p.gate_id;
COMMENT ON VIEW publication_history IS 'Every move of every channel: who, when, why, and who approved; order by id';
"""

FUNCTIONS = """
CREATE FUNCTION next_cluster(c1 integer, c2 integer, channel text DEFAULT 'default')
RETURNS TABLE (c_next integer, name text, version bigint, decoding text) LANGUAGE sql STABLE AS $$
    SELECT t.c_next, n.name, t.version, t.decoding
    FROM transition t
    JOIN transition_table v ON v.version = t.version
    JOIN cluster n ON n.cluster_set = v.cluster_set AND n.cluster = t.c_next
    WHERE t.version = (SELECT ch.table_version FROM channel ch WHERE ch.name = next_cluster.channel)
        AND t.c1 = next_cluster.c1 AND t.c2 = next_cluster.c2
$$;
COMMENT ON FUNCTION next_cluster(integer, integer, text) IS
    'The novel cluster to explore after c1 and then c2; no row if the pair or the channel is unknown';

CREATE FUNCTION transition_diff(a bigint, b bigint)
RETURNS TABLE (c1 integer, c2 integer, c1_name text, c2_name text, a_next integer, a_name text, b_next integer, b_name text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    set_a bigint := (SELECT t.cluster_set FROM transition_table t WHERE t.version = a);
    set_b bigint := (SELECT t.cluster_set FROM transition_table t WHERE t.version = b);
BEGIN
    IF set_a IS NULL OR set_b IS NULL THEN
        RAISE EXCEPTION 'no transition table %', CASE WHEN set_a IS NULL THEN a ELSE b END USING ERRCODE = 'no_data_found';
    ELSIF set_a <> set_b THEN
        RAISE EXCEPTION 'tables % and % have different cluster sets (% and %): their ids do not compare', a, b, set_a, set_b
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
        SELECT ta.c1, ta.c2, n1.name, n2.name, ta.c_next, na.name, tb.c_next, nb.name
        FROM transition ta
        JOIN transition tb ON tb.version = b AND tb.c1 = ta.c1 AND tb.c2 = ta.c2 AND tb.c_next <> ta.c_next
        JOIN cluster n1 ON n1.cluster_set = set_a AND n1.cluster = ta.c1
        JOIN cluster n2 ON n2.cluster_set = set_a AND n2.cluster = ta.c2
        JOIN cluster na ON na.cluster_set = set_a AND na.cluster = ta.c_next
        JOIN cluster nb ON nb.cluster_set = set_a AND nb.cluster = tb.c_next
        WHERE ta.version = a ORDER BY ta.c1, ta.c2;
END $$;
COMMENT ON FUNCTION transition_diff(bigint, bigint) IS 'Pairs that tables a and b answer differently';
"""


def upgrade() -> None:
    for part in (VIEWS, FUNCTIONS, RULES):
        op.execute(part)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER refuse_truncate ON {table}")
        op.execute(f"DROP TRIGGER refuse_change ON {table}")
    op.execute("DROP TRIGGER refuse_unapproved ON publication")
    op.execute("DROP FUNCTION transition_diff, next_cluster, refuse_unapproved, refuse_change")
    op.execute("DROP VIEW publication_history, current_transition, table_lineage, table_overview")
