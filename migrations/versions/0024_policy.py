"""What the whole policy brings on held-out days, from histories to items, as a measurement."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0025"
branch_labels = None
depends_on = None

BEFORE = ("drift", "staleness", "refresh", "answers", "retrieval", "quality", "names")
VIEW = """
CREATE VIEW measured_policy AS
SELECT m.version AS measurement, m.cluster_set, m.created_at, (m.inputs->>'table')::bigint AS table_version,
    (m.inputs->>'recommender')::bigint AS recommender, arm->>'name' AS arm, (m.result->>'users')::bigint AS users,
    (arm->'interest'->>'value')::float8 AS interest, (arm->'item'->>'value')::float8 AS item,
    (arm->'explored'->>'value')::float8 AS explored, (arm->'novel'->>'value')::float8 AS novel,
    (arm->>'items')::bigint AS items, (arm->>'effective_items')::float8 AS effective_items
FROM measurement m, jsonb_array_elements(m.result->'arms') arm WHERE m.kind = 'policy';
COMMENT ON VIEW measured_policy IS 'A row per measured replay and way to choose items: shares of users who turned to a listed
interest that was new to them, took a listed item, took one of a new interest; share of listed items of a new interest';
"""


def upgrade() -> None:
    _kinds((*BEFORE, "policy"), BEFORE)
    op.execute(VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW measured_policy")
    op.execute("ALTER TABLE measurement DISABLE TRIGGER USER; DELETE FROM measurement WHERE kind = 'policy'")
    op.execute("ALTER TABLE measurement ENABLE TRIGGER USER")
    _kinds(BEFORE, (*BEFORE, "policy"))


def _kinds(kinds: tuple[str, ...], before: tuple[str, ...]) -> None:
    op.drop_constraint("measurement_kind_check", "measurement")
    op.create_check_constraint(op.f("measurement_kind_check"), "measurement", f"kind IN ({', '.join(map(repr, kinds))})")
    op.alter_column(
        "measurement", "kind", comment=" | ".join(kinds), existing_comment=" | ".join(before), existing_type=sa.Text()
    )
