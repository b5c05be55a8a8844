"""Measured numbers as rows: one per day and arm, one per arm, one per lag, so that SQL and dashboards need no JSON path.

Arms go by their ids (`interests/metrics/arms.py`); `arm_id` reads the English labels of results that were stored before there
was a format number.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

VIEWS = """
CREATE FUNCTION arm_id(label text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE label
    WHEN 'this table' THEN 'table'
    WHEN 'no RAG, fixed' THEN 'no_rag'
    WHEN 'RAG of day 1, fixed' THEN 'rag_fixed'
    WHEN 'RAG renewed' THEN 'rag_renewed'
    WHEN 'most popular successor' THEN 'popular'
    WHEN 'most frequent successor of the pair' THEN 'frequent'
    WHEN 'frequency table of day 1' THEN 'frequent_fixed'
    WHEN 'frequency table renewed' THEN 'frequent_renewed'
    ELSE regexp_replace(label, '^(instance|global), (frequency|trend), (top )?(\\d+)( triples)?$', '\\1_\\2_\\4')
END $$;
COMMENT ON FUNCTION arm_id IS 'The id of an arm of a measurement, from its label in results of format 1; an id stays as it is';

CREATE VIEW measured_hits AS
SELECT m.version AS measurement, m.kind, m.cluster_set, m.table_version, m.model_version, m.created_at,
    CASE m.kind WHEN 'quality' THEN m.result->'hits' ELSE m.result END AS hits
FROM measurement m WHERE m.kind IN ('refresh', 'retrieval', 'quality');
COMMENT ON VIEW measured_hits IS 'Measurements that hold hit rates, with their JSON; see measured_arm and measured_day';

CREATE VIEW measured_arm AS
SELECT h.measurement, h.kind, h.cluster_set, h.table_version, h.model_version, h.created_at, arm_id(a.arm->>'name') AS arm,
    (a.arm->'rate'->>'value')::float8 AS hit_rate, (a.arm->'rate'->>'low')::float8 AS low,
    (a.arm->'rate'->>'high')::float8 AS high, (a.arm->'rate'->>'n')::bigint AS users,
    (a.arm->'novel'->>'value')::float8 AS novel, (a.arm->'uptake'->>'value')::float8 AS uptake,
    (h.hits->>'chance')::float8 AS chance, (h.hits->>'occurrences')::bigint AS occurrences
FROM measured_hits h CROSS JOIN LATERAL jsonb_array_elements(h.hits->'arms') AS a(arm);
COMMENT ON VIEW measured_arm IS 'A row per measurement and arm: hit rate over the held-out period, its 95 % interval, and chance';
COMMENT ON COLUMN measured_arm.novel IS 'Share of occurrences whose predicted cluster the user had not shown before';

CREATE VIEW measured_day AS
SELECT h.measurement, h.kind, h.cluster_set, h.table_version, h.model_version, h.created_at,
    (h.hits->'days'->>(d.place - 1)::int)::date AS day, arm_id(a.arm->>'name') AS arm,
    (d.estimate->>'value')::float8 AS hit_rate, (d.estimate->>'low')::float8 AS low, (d.estimate->>'high')::float8 AS high,
    (d.estimate->>'n')::bigint AS users, (h.hits->'daily_chance'->>(d.place - 1)::int)::float8 AS chance
FROM measured_hits h CROSS JOIN LATERAL jsonb_array_elements(h.hits->'arms') AS a(arm)
CROSS JOIN LATERAL jsonb_array_elements(a.arm->'daily') WITH ORDINALITY AS d(estimate, place);
COMMENT ON VIEW measured_day IS 'A row per measurement, UTC day and arm: the hit rate of that day, its 95 % interval, and chance';

CREATE VIEW measured_lag AS
SELECT m.version AS measurement, m.cluster_set, m.created_at, c.curve->>'ranking' AS ranking, (l.lag->>'lag')::int AS lag,
    (l.lag->'drift'->>'value')::float8 AS drift, (l.lag->'drift'->>'low')::float8 AS low,
    (l.lag->'drift'->>'high')::float8 AS high, (l.lag->>'comparisons')::bigint AS comparisons,
    (l.lag->'jaccard'->>'value')::float8 AS jaccard, (l.lag->'ceiling'->>'value')::float8 AS ceiling
FROM measurement m CROSS JOIN LATERAL jsonb_array_elements(m.result->'curves') AS c(curve)
CROSS JOIN LATERAL jsonb_array_elements(c.curve->'lags') AS l(lag) WHERE m.kind = 'drift';
COMMENT ON VIEW measured_lag IS 'A row per drift measurement, ranking and lag: how far two windows so many windows apart differ';
COMMENT ON COLUMN measured_lag.drift IS 'Ceiling less Jaccard: what chance does not explain';
"""


def upgrade() -> None:
    op.execute(VIEWS)


def downgrade() -> None:
    op.execute("DROP VIEW measured_lag, measured_day, measured_arm, measured_hits")
    op.execute("DROP FUNCTION arm_id")
