"""A verdict is about a table, and the newest one decides; that a review is required is on record with the evaluation.

The table `review` becomes `verdict`: it takes a `revoke` that closes no review, and says how the reviewer's name is known.
The view `review` keeps its name and columns for SQL and for workers of before.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

VERDICT = """
ALTER TABLE review RENAME TO verdict;
ALTER TABLE verdict DISABLE TRIGGER USER;
ALTER TABLE verdict ADD COLUMN id bigint, ADD COLUMN table_version bigint, ADD COLUMN known_by text NOT NULL DEFAULT 'claimed';
UPDATE verdict v SET id = o.id, table_version = o.table_version, known_by = o.known_by
FROM (SELECT r.gate_id, g.table_version, row_number() OVER (ORDER BY r.decided_at, r.gate_id) AS id,
        CASE WHEN r.decision = 'expired' THEN 'system' ELSE 'claimed' END AS known_by
    FROM verdict r JOIN gate g USING (gate_id)) o
WHERE o.gate_id = v.gate_id;
ALTER TABLE verdict ENABLE TRIGGER USER;
ALTER TABLE verdict DROP CONSTRAINT review_pkey, DROP CONSTRAINT review_decision_check;
ALTER TABLE verdict RENAME CONSTRAINT review_reviewer_check TO verdict_reviewer_check;
ALTER TABLE verdict RENAME CONSTRAINT review_gate_id_fkey TO verdict_gate_id_fkey;
ALTER TABLE verdict
    ALTER COLUMN id SET NOT NULL,
    ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY,
    ALTER COLUMN table_version SET NOT NULL,
    ALTER COLUMN gate_id DROP NOT NULL,
    ADD CONSTRAINT verdict_pkey PRIMARY KEY (id),
    ADD CONSTRAINT verdict_gate_id_key UNIQUE (gate_id),
    ADD CONSTRAINT verdict_table_version_fkey FOREIGN KEY (table_version) REFERENCES transition_table (version),
    ADD CONSTRAINT verdict_decision_check
        CHECK (decision IN ('approve', 'rerun', 'abort', 'revoke', 'expired', 'superseded')),
    ADD CONSTRAINT verdict_review_check CHECK ((gate_id IS NULL) = (decision = 'revoke')),
    ADD CONSTRAINT verdict_known_by_check CHECK (known_by IN ('login', 'oidc', 'proxy', 'principal', 'claimed', 'system'));
SELECT setval(pg_get_serial_sequence('verdict', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM verdict), false);
CREATE INDEX verdict_table_version_id_idx ON verdict (table_version, id);
COMMENT ON TABLE verdict IS 'What was decided about tables; of a person''s verdicts about a table the newest decides';
COMMENT ON COLUMN verdict.id IS 'Order of verdicts';
COMMENT ON COLUMN verdict.table_version IS 'The table that it is about';
COMMENT ON COLUMN verdict.gate_id IS 'The review that it closes, one verdict each; null: revoke';
COMMENT ON COLUMN verdict.decision IS
    'approve | rerun | abort | revoke | expired (no verdict in time) | superseded (a newer candidate came)';
COMMENT ON COLUMN verdict.known_by IS
    'How the reviewer''s name is known: login | oidc | proxy | principal | claimed (by whoever sent it) | system';

CREATE VIEW review AS
SELECT gate_id, decision, reviewer, reason, decided_at FROM verdict WHERE gate_id IS NOT NULL;
COMMENT ON VIEW review IS 'How reviews were closed, as the table of this name was until 0005; read verdict instead';
COMMENT ON TABLE gate IS 'Reviews: candidates that wait for a person, or waited; gate_id is the review''s id';

CREATE FUNCTION about_one_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.table_version := coalesce(NEW.table_version, (SELECT g.table_version FROM gate g WHERE g.gate_id = NEW.gate_id));
    PERFORM pg_advisory_xact_lock(hashtextextended('verdict:' || NEW.table_version, 0));
    RETURN NEW;
END $$;
COMMENT ON FUNCTION about_one_table() IS 'Names a verdict''s table, and lets no publication of it pass by meanwhile';
CREATE TRIGGER about_one_table BEFORE INSERT ON verdict FOR EACH ROW EXECUTE FUNCTION about_one_table();
"""

EVALUATION = """
ALTER TABLE evaluation ADD COLUMN review_required boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN evaluation.review_required IS 'A person has to decide, also where every gate passed';
ALTER TABLE gate ADD COLUMN channel text;
COMMENT ON COLUMN gate.channel IS 'Where the candidate would be published';
"""

OVERVIEW = """
CREATE OR REPLACE VIEW table_overview AS
SELECT t.version, t.kind, t.nominal, t.cluster_set, s.clusters, t.rows, t.complete, t.model_version, t.counts_version,
    c.window_start, c.window_end, t.exact::float8 / nullif(t.rows, 0) AS exact_match_rate,
    e.recall, e.recall_low, e.recall_chance, e.recall_popular, e.recall_frequent, e.test_triples, e.coverage, e.failed_gates,
    {approved} AS approved,
    ARRAY(SELECT name FROM channel WHERE table_version = t.version ORDER BY name) AS channels,
    (SELECT min(at) FROM publication WHERE to_version = t.version) AS published_at,
    t.workflow_id, t.run_id, t.created_at
FROM transition_table t
JOIN cluster_set s ON s.version = t.cluster_set
JOIN counts c ON c.version = t.counts_version
LEFT JOIN LATERAL (SELECT id, recall, recall_low, recall_chance, recall_popular, recall_frequent, test_triples, coverage,
        failed_gates
    FROM evaluation WHERE table_version = t.version ORDER BY id DESC LIMIT 1) e ON true;
"""
APPROVED_BEFORE = """
    EXISTS (SELECT FROM gate g JOIN verdict r USING (gate_id) WHERE g.evaluation = e.id AND r.decision = 'approve')
        OR (cardinality(e.failed_gates) = 0 AND NOT EXISTS (SELECT FROM gate g WHERE g.evaluation = e.id)) IS TRUE"""

APPROVAL = """
CREATE VIEW table_verdict AS
SELECT DISTINCT ON (v.table_version) v.table_version AS version, v.decision, v.reviewer, v.known_by, v.reason, v.decided_at,
    v.gate_id AS review_id, g.evaluation
FROM verdict v LEFT JOIN gate g USING (gate_id)
WHERE v.decision IN ('approve', 'rerun', 'abort', 'revoke')
ORDER BY v.table_version, v.id DESC;
COMMENT ON VIEW table_verdict IS 'The newest verdict of a person about each table';

CREATE FUNCTION table_approved(version bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT CASE
            WHEN v.decision IN ('rerun', 'abort', 'revoke') THEN false
            WHEN v.decision = 'approve' AND v.evaluation = e.id THEN true
            ELSE cardinality(e.failed_gates) = 0 AND NOT e.review_required
                AND (v.decision IS NOT NULL OR NOT EXISTS (SELECT FROM gate g WHERE g.evaluation = e.id))
        END
        FROM evaluation e LEFT JOIN table_verdict v ON v.version = e.table_version
        WHERE e.table_version = table_approved.version ORDER BY e.id DESC LIMIT 1
    ), false)
$$;
COMMENT ON FUNCTION table_approved(bigint) IS
    'Whether a table may be served: a person''s newest verdict about it is approve; or there is none, and all gates passed '
    'and no review was required';

CREATE VIEW channel_overview AS
SELECT ch.name AS channel, ch.table_version AS version, t.kind, t.nominal, p.at AS since, p.actor,
    table_approved(ch.table_version) AS approved, v.decision AS verdict, v.reviewer, v.known_by, v.reason AS verdict_reason,
    v.decided_at,
    (SELECT q.to_version FROM publication q
        WHERE q.channel = ch.name AND q.id < ch.publication AND q.to_version <> ch.table_version AND table_approved(q.to_version)
        ORDER BY q.id DESC LIMIT 1) AS rollback_to
FROM channel ch
JOIN transition_table t ON t.version = ch.table_version
JOIN publication p ON p.id = ch.publication
LEFT JOIN table_verdict v ON v.version = ch.table_version;
COMMENT ON VIEW channel_overview IS 'What each channel serves, and whether that table is still approved';
COMMENT ON COLUMN channel_overview.verdict IS 'A person''s newest verdict about the table';
COMMENT ON COLUMN channel_overview.rollback_to IS 'The newest table that it served before and that is still approved';
"""

RULES = """
CREATE OR REPLACE FUNCTION refuse_unapproved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('verdict:' || NEW.to_version, 0));
    IF NOT EXISTS (SELECT FROM table_overview WHERE version = NEW.to_version AND complete AND approved) THEN
        RAISE EXCEPTION 'transition table % is incomplete or not approved: it cannot be published', NEW.to_version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION refuse_unapproved_channel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM table_overview WHERE version = NEW.table_version AND complete AND approved) THEN
        RAISE EXCEPTION 'transition table % is incomplete or not approved: channel % cannot serve it', NEW.table_version, NEW.name
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION refuse_unapproved_channel() IS 'The same door at the pointer itself';
CREATE TRIGGER refuse_unapproved BEFORE INSERT OR UPDATE ON channel FOR EACH ROW EXECUTE FUNCTION refuse_unapproved_channel();
"""

RULES_BEFORE = """
CREATE OR REPLACE FUNCTION refuse_unapproved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM table_overview WHERE version = NEW.to_version AND complete AND approved) THEN
        RAISE EXCEPTION 'transition table % is incomplete or not approved: it cannot be published', NEW.to_version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    for part in (VERDICT, EVALUATION, APPROVAL, OVERVIEW.format(approved="table_approved(t.version)"), RULES):
        op.execute(part)
    op.execute(
        "COMMENT ON COLUMN table_overview.approved IS 'By its newest evaluation and the newest verdict: see table_approved'"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER refuse_unapproved ON channel")
    op.execute("DROP FUNCTION refuse_unapproved_channel")
    op.execute("DROP VIEW channel_overview")
    op.execute(RULES_BEFORE)
    op.execute(OVERVIEW.format(approved=APPROVED_BEFORE))
    op.execute("DROP FUNCTION table_approved")
    op.execute("DROP VIEW table_verdict, review")
    op.drop_column("gate", "channel")
    op.drop_column("evaluation", "review_required")
    op.execute(
        """
        DROP TRIGGER about_one_table ON verdict;
        DROP FUNCTION about_one_table;
        DROP INDEX verdict_table_version_id_idx;
        ALTER TABLE verdict DISABLE TRIGGER USER;
        DELETE FROM verdict WHERE gate_id IS NULL;
        UPDATE verdict SET decision = 'expired' WHERE decision = 'superseded';
        ALTER TABLE verdict ENABLE TRIGGER USER;
        ALTER TABLE verdict
            DROP CONSTRAINT verdict_pkey,
            DROP CONSTRAINT verdict_gate_id_key,
            DROP CONSTRAINT verdict_table_version_fkey,
            DROP CONSTRAINT verdict_decision_check,
            DROP CONSTRAINT verdict_review_check,
            DROP CONSTRAINT verdict_known_by_check;
        ALTER TABLE verdict DROP COLUMN id, DROP COLUMN table_version, DROP COLUMN known_by;
        ALTER TABLE verdict RENAME CONSTRAINT verdict_reviewer_check TO review_reviewer_check;
        ALTER TABLE verdict RENAME CONSTRAINT verdict_gate_id_fkey TO review_gate_id_fkey;
        ALTER TABLE verdict
            ADD CONSTRAINT review_pkey PRIMARY KEY (gate_id),
            ADD CONSTRAINT review_decision_check CHECK (decision IN ('approve', 'rerun', 'abort', 'expired'));
        ALTER TABLE verdict RENAME TO review;
        COMMENT ON TABLE review IS 'How a gate was closed';
        COMMENT ON COLUMN review.gate_id IS 'The gate that this decides; one verdict each';
        COMMENT ON COLUMN review.decision IS 'approve | rerun | abort | expired (no verdict in time)';
        COMMENT ON TABLE gate IS 'A candidate stopped for review';
        """
    )
