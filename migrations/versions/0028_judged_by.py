"""An evaluation names the measurement that it judged by, and how many users that was measured on."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

LOW = "Lower bound of recall; with measurement: over users, else over triples (ADR 0019)"
LOW_BEFORE = "One-sided lower confidence bound of recall"


def upgrade() -> None:
    users = sa.Column("test_users", sa.BigInteger(), comment="Users with a triple in the test window; null: not on record")
    measurement = sa.Column("measurement", sa.BigInteger(), comment="Judged by this one; null: before it was on record")
    op.add_column("evaluation", users)
    op.add_column("evaluation", measurement)
    op.create_foreign_key(op.f("evaluation_measurement_fkey"), "evaluation", "measurement", ["measurement"], ["version"])
    _say(LOW, LOW_BEFORE)


def downgrade() -> None:
    _say(LOW_BEFORE, LOW)
    op.drop_constraint(op.f("evaluation_measurement_fkey"), "evaluation")
    op.drop_column("evaluation", "measurement")
    op.drop_column("evaluation", "test_users")


def _say(low: str, before: str) -> None:
    op.alter_column("evaluation", "recall_low", comment=low, existing_comment=before, existing_type=sa.Double())
