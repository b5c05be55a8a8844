"""The view over drift says of every lag what its report says: the share that has moved, and whether beyond noise."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

BEFORE = """
SELECT m.version AS measurement, m.cluster_set, m.created_at, c.curve->>'ranking' AS ranking, (l.lag->>'lag')::int AS lag,
    (l.lag->'drift'->>'value')::float8 AS drift, (l.lag->'drift'->>'low')::float8 AS low,
    (l.lag->'drift'->>'high')::float8 AS high, (l.lag->>'comparisons')::bigint AS comparisons,
    (l.lag->'jaccard'->>'value')::float8 AS jaccard, (l.lag->'ceiling'->>'value')::float8 AS ceiling{more}
FROM measurement m CROSS JOIN LATERAL jsonb_array_elements(m.result->'curves') AS c(curve)
CROSS JOIN LATERAL jsonb_array_elements(c.curve->'lags') AS l(lag) WHERE m.kind = 'drift'
"""
MOVED = """,
    (l.lag->'moved'->'share'->>'value')::float8 AS moved, (l.lag->'moved'->'share'->>'low')::float8 AS moved_low,
    (l.lag->'moved'->'share'->>'high')::float8 AS moved_high, (l.lag->'moved'->>'p')::float8 AS p,
    coalesce((l.lag->'moved'->'share'->>'n')::bigint >= 10, false) AS enough, (l.lag->'drift'->>'n')::bigint AS pairs"""

# Holm's test over the lags of a ranking, as in `interests.metrics.significance`. `CREATE OR REPLACE` keeps the grants.
VIEW = f"""
CREATE OR REPLACE VIEW measured_lag AS
WITH stored AS ({BEFORE.format(more=MOVED)}),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY measurement, ranking, enough ORDER BY p, lag) AS place,
        count(*) OVER (PARTITION BY measurement, ranking, enough) AS tests
    FROM stored
)
SELECT measurement, cluster_set, created_at, ranking, lag, drift, low, high, comparisons, jaccard, ceiling,
    CASE WHEN p IS NULL THEN drift / nullif(ceiling, 0) ELSE moved END AS share,
    CASE WHEN p IS NULL THEN low / nullif(ceiling, 0) ELSE moved_low END AS share_low,
    CASE WHEN p IS NULL THEN high / nullif(ceiling, 0) ELSE moved_high END AS share_high, p,
    CASE WHEN p IS NULL THEN coalesce(low > 0 AND pairs >= 10, false)
        ELSE enough AND bool_and(p <= 0.05 / (tests - place + 1)) OVER (PARTITION BY measurement, ranking, enough ORDER BY place)
    END AS beyond_noise
FROM placed;
COMMENT ON COLUMN measured_lag.drift IS 'Ceiling less Jaccard, with an interval over pairs: it decides nothing; see share';
COMMENT ON COLUMN measured_lag.share IS 'Of what tells a pair''s successors apart, how much is another so many windows later; in
measurements without p, of before users were the units: drift over ceiling';
COMMENT ON COLUMN measured_lag.p IS 'Chance of as large a share where nothing moves; users are the units';
COMMENT ON COLUMN measured_lag.beyond_noise IS 'By p, all lags of the measurement and ranking together (Holm, 5 %); without p: the
interval of drift lies above 0';
"""
OLD_VIEW = f"""
DROP VIEW measured_lag;
CREATE VIEW measured_lag AS {BEFORE.format(more="")};
COMMENT ON VIEW measured_lag IS 'A row per drift measurement, ranking and lag: how far two windows so many windows apart differ';
COMMENT ON COLUMN measured_lag.drift IS 'Ceiling less Jaccard: what chance does not explain';
"""


def upgrade() -> None:
    op.execute(VIEW)


def downgrade() -> None:
    op.execute(OLD_VIEW)
