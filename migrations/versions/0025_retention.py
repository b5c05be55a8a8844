"""Retention: the rows of old versions can be dropped, by functions that ask first whether anything needs them.

Records stay: a version, its lineage, evaluations, verdicts and publications are never deleted. A version whose rows were dropped
cannot be served; the run that made it makes them again.
"""

from alembic import op

revision = "0025"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE pruning (
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    version bigint NOT NULL,
    bytes bigint NOT NULL,
    actor text NOT NULL DEFAULT session_user,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pruning_pkey PRIMARY KEY (id),
    CONSTRAINT pruning_kind_check CHECK (kind IN ('table', 'counts'))
);
CREATE INDEX pruning_kind_version_idx ON pruning (kind, version);
COMMENT ON TABLE pruning IS 'Versions whose rows were dropped, by whom and when; their records stay';
COMMENT ON COLUMN pruning.id IS 'Order';
COMMENT ON COLUMN pruning.kind IS 'table | counts';
COMMENT ON COLUMN pruning.version IS 'Of the transition table or the counts';
COMMENT ON COLUMN pruning.bytes IS 'What was freed, with its index';
COMMENT ON COLUMN pruning.actor IS 'Login that dropped them';
COMMENT ON COLUMN pruning.at IS 'When';

CREATE TABLE asked_again (
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    version bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT asked_again_pkey PRIMARY KEY (id),
    CONSTRAINT asked_again_kind_check CHECK (kind IN ('table', 'counts'))
);
CREATE INDEX asked_again_kind_version_at_idx ON asked_again (kind, version, at);
COMMENT ON TABLE asked_again IS 'Versions that a later run found instead of making them: their age counts from then';
COMMENT ON COLUMN asked_again.id IS 'Order';
COMMENT ON COLUMN asked_again.kind IS 'table | counts';
COMMENT ON COLUMN asked_again.version IS 'Of the transition table or the counts';
COMMENT ON COLUMN asked_again.at IS 'When';
"""

APPEND_ONLY = ("pruning", "asked_again")

RULES = """
CREATE FUNCTION has_rows(kind text, version bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT to_regclass(format('public.%I',
        CASE kind WHEN 'table' THEN 'transition' WHEN 'counts' THEN 'transition_count' END || '_v' || version)) IS NOT NULL
$$;
COMMENT ON FUNCTION has_rows(text, bigint) IS 'Whether the rows of a table or of counts are there, or were dropped';

CREATE VIEW table_rows AS
SELECT t.version, has_rows('table', t.version) AS kept,
    CASE WHEN NOT has_rows('table', t.version)
        THEN (SELECT max(p.at) FROM pruning p WHERE p.kind = 'table' AND p.version = t.version) END AS pruned_at
FROM transition_table t;
COMMENT ON VIEW table_rows IS 'Whether the rows of each transition table are there, and since when not';

CREATE FUNCTION kept_tables(before timestamptz) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT version FROM transition_table WHERE created_at >= before
    UNION SELECT version FROM asked_again WHERE kind = 'table' AND at >= before
    UNION SELECT table_version FROM verdict WHERE decided_at >= before
    UNION SELECT table_version FROM gate g WHERE NOT EXISTS (SELECT FROM verdict v WHERE v.gate_id = g.gate_id)
    UNION SELECT table_version FROM channel
    UNION SELECT rollback_to FROM channel_overview WHERE rollback_to IS NOT NULL
    UNION SELECT p.from_version FROM channel ch, LATERAL (
            SELECT q.from_version FROM publication q
            WHERE q.channel = ch.name AND q.action = 'publish' AND q.to_version = ch.table_version ORDER BY q.id DESC LIMIT 1) p
        WHERE p.from_version IS NOT NULL
    UNION SELECT to_version FROM publication WHERE at >= before
    UNION SELECT from_version FROM publication WHERE at >= before AND from_version IS NOT NULL
    UNION (SELECT DISTINCT ON (cluster_set) version FROM table_overview WHERE kind = 'fine_tune' AND complete AND approved
        ORDER BY cluster_set, nominal DESC, version DESC)
$$;
COMMENT ON FUNCTION kept_tables(timestamptz) IS
    'Tables that something needs: newer than that, served since, a channel''s or what it would go back to, in review or decided '
    'since, and the newest approved fine-tune of each cluster set';

CREATE FUNCTION kept_counts(before timestamptz) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    WITH tables AS (SELECT t.* FROM transition_table t WHERE t.version IN (SELECT kept_tables(before)))
    SELECT version FROM counts WHERE created_at >= before
    UNION SELECT version FROM asked_again WHERE kind = 'counts' AND at >= before
    UNION SELECT counts_version FROM tables
    UNION SELECT known_counts FROM tables
    UNION SELECT validation_counts FROM tables
    UNION SELECT e.counts_version FROM evaluation e JOIN tables t ON t.version = e.table_version
    UNION SELECT unnest(ARRAY[m.counts_version, m.validation_counts]) FROM model m
        WHERE m.created_at >= before OR m.version IN (SELECT model_version FROM tables)
$$;
COMMENT ON FUNCTION kept_counts(timestamptz) IS 'Counts that something needs: newer than that, or what a kept table was made of';

CREATE FUNCTION prunable(before timestamptz) RETURNS TABLE (kind text, version bigint, bytes bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'table', t.version, pg_total_relation_size(format('public.%I', 'transition_v' || t.version)::regclass)
    FROM transition_table t WHERE has_rows('table', t.version) AND t.version NOT IN (SELECT kept_tables(before))
    UNION ALL
    SELECT 'counts', c.version, pg_total_relation_size(format('public.%I', 'transition_count_v' || c.version)::regclass)
    FROM counts c WHERE has_rows('counts', c.version)
        AND c.version NOT IN (SELECT k FROM kept_counts(before) k WHERE k IS NOT NULL)
$$;
COMMENT ON FUNCTION prunable(timestamptz) IS 'Versions whose rows nothing needs that is newer than that, and what they weigh';

CREATE FUNCTION prune_version(kind text, version bigint, before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
#variable_conflict use_variable
DECLARE
    parent text := CASE kind WHEN 'table' THEN 'transition' WHEN 'counts' THEN 'transition_count' END;
    record text := CASE kind WHEN 'table' THEN 'transition_table' WHEN 'counts' THEN 'counts' END;
    partition text := parent || '_v' || version;
    freed bigint;
BEGIN
    IF parent IS NULL THEN
        RAISE EXCEPTION 'kind % is none of table, counts', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF before > now() - interval '7 days' THEN
        RAISE EXCEPTION 'what is younger than 7 days is not dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Whoever finds the version, decides about it or publishes it holds one of these until its transaction ends.
    EXECUTE format(
        'SELECT pg_advisory_xact_lock(hashtextextended(%L || key, 0)) FROM %I WHERE version = $1', record || ':', record
    ) USING version;
    IF kind = 'table' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('verdict:' || version, 0));
    END IF;
    SELECT p.bytes INTO freed FROM prunable(before) p WHERE p.kind = kind AND p.version = version;
    IF freed IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, partition);
    EXECUTE format('DROP TABLE %I', partition);
    IF kind = 'counts' THEN  -- sums of the same rows, which are made again with them
        ALTER TABLE pair_traffic DISABLE TRIGGER refuse_change;
        DELETE FROM pair_traffic t WHERE t.version = version;
        ALTER TABLE pair_traffic ENABLE TRIGGER refuse_change;
    END IF;
    INSERT INTO pruning (kind, version, bytes) VALUES (kind, version, freed);
    RETURN freed;
END $$;
COMMENT ON FUNCTION prune_version(text, bigint, timestamptz) IS
    'Drops the rows of one version if nothing newer than that needs them; bytes, or null where something does. It waits 0.2 s '
    'for readers, so that none waits longer for it';
REVOKE EXECUTE ON FUNCTION prune_version(text, bigint, timestamptz) FROM PUBLIC;

CREATE FUNCTION refuse_pruned() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    about bigint := (to_jsonb(NEW) ->> CASE TG_TABLE_NAME WHEN 'channel' THEN 'table_version' ELSE 'to_version' END)::bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('verdict:' || about, 0));
    IF NOT has_rows('table', about) THEN
        RAISE EXCEPTION 'the rows of transition table % were dropped: run its workflow again', about
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION refuse_pruned() IS 'Nothing is served whose rows are gone';
CREATE TRIGGER refuse_pruned BEFORE INSERT ON publication FOR EACH ROW EXECUTE FUNCTION refuse_pruned();
CREATE TRIGGER refuse_pruned BEFORE INSERT OR UPDATE ON channel FOR EACH ROW EXECUTE FUNCTION refuse_pruned();
"""

GOES_BACK = """
CREATE OR REPLACE VIEW channel_overview AS
SELECT ch.name AS channel, ch.table_version AS version, t.kind, t.nominal, p.at AS since, p.actor,
    table_approved(ch.table_version) AS approved, v.decision AS verdict, v.reviewer, v.known_by, v.reason AS verdict_reason,
    v.decided_at,
    (SELECT q.to_version FROM publication q
        WHERE q.channel = ch.name AND q.id < ch.publication AND q.to_version <> ch.table_version
            AND table_approved(q.to_version){more}
        ORDER BY q.id DESC LIMIT 1) AS rollback_to
FROM channel ch
JOIN transition_table t ON t.version = ch.table_version
JOIN publication p ON p.id = ch.publication
LEFT JOIN table_verdict v ON v.version = ch.table_version;
"""

PRUNER = """
CREATE FUNCTION grant_pruning(grantee text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM grant_access(grantee, 'reader');
    EXECUTE format('GRANT EXECUTE ON FUNCTION prune_version(text, bigint, timestamptz) TO %I', grantee);
END $$;
COMMENT ON FUNCTION grant_pruning(text) IS
    'Lets a login read, and drop rows that nothing needs: `driftline prune`. For the schema''s owner';
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(RULES)
    op.execute(GOES_BACK.format(more=" AND has_rows('table', q.to_version)"))
    op.execute(PRUNER)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.execute("DROP FUNCTION grant_pruning(text)")
    op.execute(GOES_BACK.format(more=""))
    op.execute("DROP TRIGGER refuse_pruned ON channel")
    op.execute("DROP TRIGGER refuse_pruned ON publication")
    op.execute("DROP FUNCTION refuse_pruned, prune_version, prunable, kept_counts, kept_tables")
    op.execute("DROP VIEW table_rows")
    op.execute("DROP FUNCTION has_rows")
    op.execute("DROP TABLE asked_again, pruning")
