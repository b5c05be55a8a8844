"""What boards read, and the login that they read it with."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

VIEWS = """
CREATE VIEW table_outcome AS
SELECT t.version, t.kind, t.nominal, t.created_at,
    CASE
        WHEN EXISTS (SELECT FROM publication p WHERE p.to_version = t.version) THEN 'published'
        WHEN v.decision IS NOT NULL THEN v.decision
        WHEN EXISTS (SELECT FROM gate g WHERE g.table_version = t.version) THEN 'waiting'
        ELSE 'not published'
    END AS outcome
FROM transition_table t
LEFT JOIN LATERAL (SELECT decision FROM verdict WHERE table_version = t.version ORDER BY id DESC LIMIT 1) v ON true;
COMMENT ON VIEW table_outcome IS 'What became of each table: published, its newest verdict, waiting, or none of them';

CREATE VIEW measured_staleness AS
SELECT m.version AS measurement, m.cluster_set, m.created_at, (p.point->>'days')::int AS days, (p.point->>'top_k')::int AS top_k,
    (p.point->'same_list'->>'value')::float8 AS same_list, (p.point->'same_list'->>'low')::float8 AS same_list_low,
    (p.point->'same_list'->>'high')::float8 AS same_list_high, (p.point->'same_set'->>'value')::float8 AS same_set
FROM measurement m CROSS JOIN LATERAL jsonb_array_elements(m.result->'points') AS p(point) WHERE m.kind = 'staleness';
COMMENT ON VIEW measured_staleness IS 'A row per staleness measurement, day after the retrieval date and list length';
COMMENT ON COLUMN measured_staleness.same_list IS 'Share of pairs whose top_k successors are the same in the same order';

CREATE VIEW window_unknown AS
SELECT version AS counts_version, cluster_set, window_start, window_end, unknown,
    unknown::float8 / nullif(unknown + events, 0) AS share
FROM (SELECT *, coalesce((dropped->>'events_of_unknown_items')::bigint, 0) AS unknown FROM counts) c;
COMMENT ON VIEW window_unknown IS 'Of each counted window the positive events whose item is in no cluster';
COMMENT ON COLUMN window_unknown.share IS 'Of all positive events';
"""

# Without a password nobody logs in as it: an administrator sets one.
LOGIN = """
DO $$
DECLARE
    who text;
BEGIN
    IF (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'driftline_grafana') THEN
                CREATE ROLE driftline_grafana LOGIN CONNECTION LIMIT 20;
                COMMENT ON ROLE driftline_grafana IS 'Grafana: reads everything, writes nothing';
                ALTER ROLE driftline_grafana SET default_transaction_read_only = on;
                ALTER ROLE driftline_grafana SET statement_timeout = '30s';
            END IF;
            GRANT driftline_reader TO driftline_grafana;
        EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege OR undefined_object THEN NULL;
        END;
    END IF;
    FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('driftline_reader', 'driftline_worker', 'driftline_reviewer') LOOP
        EXECUTE format('GRANT SELECT ON table_outcome, measured_staleness, window_unknown TO %I', who);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute(VIEWS)
    op.execute(LOGIN)


def downgrade() -> None:
    op.execute("DROP VIEW window_unknown, measured_staleness, table_outcome")
