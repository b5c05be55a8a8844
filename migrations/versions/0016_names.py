"""How much the descriptions of a cluster set say, as a measurement."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BEFORE = ("drift", "staleness", "refresh", "answers", "retrieval", "quality")
VIEW = """
CREATE VIEW measured_names AS
SELECT m.version AS measurement, m.cluster_set, m.created_at, (m.result->>'nearest_description')::float8 AS nearest_description,
    (m.result->>'nearest_centroid')::float8 AS nearest_centroid, (m.result->>'chance')::float8 AS chance
FROM measurement m WHERE m.kind = 'names';
COMMENT ON VIEW measured_names IS 'A row per measured cluster set: the share of its items that are nearest, by embedding, to
their own cluster''s description, and to their own cluster''s mean';
"""


def upgrade() -> None:
    _kinds((*BEFORE, "names"), BEFORE)
    op.execute(VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW measured_names")
    op.execute("ALTER TABLE measurement DISABLE TRIGGER USER; DELETE FROM measurement WHERE kind = 'names'")
    op.execute("ALTER TABLE measurement ENABLE TRIGGER USER")
    _kinds(BEFORE, (*BEFORE, "names"))


def _kinds(kinds: tuple[str, ...], before: tuple[str, ...]) -> None:
    op.drop_constraint("measurement_kind_check", "measurement")
    op.create_check_constraint(op.f("measurement_kind_check"), "measurement", f"kind IN ({', '.join(map(repr, kinds))})")
    op.alter_column(
        "measurement", "kind", comment=" | ".join(kinds), existing_comment=" | ".join(before), existing_type=sa.Text()
    )
