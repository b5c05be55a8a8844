"""The frontier and the support of pairs as rows: what an arm's recall costs in exploration, and where it wins."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

VIEWS = """
CREATE VIEW measured_frontier AS
SELECT h.measurement, h.kind, h.cluster_set, h.table_version, h.model_version, h.created_at, arm_id(a.arm->>'name') AS arm,
    (a.arm->'recall'->>'value')::float8 AS recall, (a.arm->'recall'->>'low')::float8 AS recall_low,
    (a.arm->'recall'->>'high')::float8 AS recall_high, (a.arm->>'effective_clusters')::float8 AS effective_clusters,
    (a.arm->'novel'->>'value')::float8 AS novel, (a.arm->'uptake'->>'value')::float8 AS uptake,
    (a.arm->'uptake'->>'low')::float8 AS uptake_low, (a.arm->'uptake'->>'high')::float8 AS uptake_high,
    (h.hits->>'uptake_chance')::float8 AS uptake_chance, (h.hits->>'triples')::bigint AS triples,
    jsonb_path_exists(h.hits, '$.frontiers[*] ? (@.against == "effective_clusters").arms[*] ? (@ == $arm)',
        jsonb_build_object('arm', a.arm->'name')) AS unbeaten_in_spread,
    jsonb_path_exists(h.hits, '$.frontiers[*] ? (@.against == "novel").arms[*] ? (@ == $arm)',
        jsonb_build_object('arm', a.arm->'name')) AS unbeaten_in_novelty
FROM measured_hits h CROSS JOIN LATERAL jsonb_array_elements(h.hits->'arms') AS a(arm)
WHERE a.arm->>'effective_clusters' IS NOT NULL;
COMMENT ON VIEW measured_frontier IS 'A row per measurement and arm: its recall beside how many interests it answers, how often it
answers one that is new to the user, and how often such a one comes true';
COMMENT ON COLUMN measured_frontier.effective_clusters IS '2 ** entropy of its answers to all pairs';
COMMENT ON COLUMN measured_frontier.unbeaten_in_spread IS 'No other arm is as good in recall and in effective_clusters, and better
in one; values count as measured, noise and all';
COMMENT ON COLUMN measured_frontier.unbeaten_in_novelty IS 'The same of recall and novel';

CREATE VIEW measured_support AS
SELECT h.measurement, h.kind, h.cluster_set, h.table_version, h.model_version, h.created_at,
    (l.level->>'low')::bigint AS seen_from, (l.level->>'high')::bigint AS seen_to, (l.level->>'pairs')::bigint AS pairs,
    (l.level->>'occurrences')::bigint AS occurrences, arm_id(a.arm->>'name') AS arm,
    (a.arm->'rate'->>'value')::float8 AS hit_rate, (a.arm->'rate'->>'low')::float8 AS hit_rate_low,
    (a.arm->'rate'->>'high')::float8 AS hit_rate_high, (a.arm->'recall'->>'value')::float8 AS recall,
    (a.arm->'recall'->>'low')::float8 AS recall_low, (a.arm->'recall'->>'high')::float8 AS recall_high
FROM measured_hits h CROSS JOIN LATERAL jsonb_array_elements(h.hits->'levels') AS l(level)
CROSS JOIN LATERAL jsonb_array_elements(l.level->'arms') AS a(arm);
COMMENT ON VIEW measured_support IS 'A row per measurement, support of the pair and arm: who predicts better where';
COMMENT ON COLUMN measured_support.seen_to IS 'How often the pair was seen in the window that the arms knew; null: any more';
"""


def upgrade() -> None:
    op.execute(VIEWS)


def downgrade() -> None:
    op.execute("DROP VIEW measured_support, measured_frontier")
