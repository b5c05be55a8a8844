"""What the cadence decided for each day, and what people said against it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ACTIONS = "action IN ('none', 'counts', 'rag_refresh', 'fine_tune')"


def upgrade() -> None:
    op.create_table(
        "cadence_override",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order; the newest counts"),
        sa.Column("channel", sa.Text(), nullable=False, comment="Whose cadence"),
        sa.Column(
            "action", sa.Text(), nullable=False, comment="What is done on these days: none | counts | rag_refresh | fine_tune"
        ),
        sa.Column("first_day", sa.Date(), nullable=False, comment="First nominal day"),
        sa.Column("last_day", sa.Date(), nullable=False, comment="Last nominal day"),
        sa.Column("said_by", sa.Text(), nullable=False, comment="Who said so"),
        sa.Column("known_by", sa.Text(), nullable=False, comment="How the name is known, as of a verdict"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), comment="When"),
        sa.CheckConstraint(ACTIONS, name=op.f("cadence_override_action_check")),
        sa.CheckConstraint("first_day <= last_day", name=op.f("cadence_override_days_check")),
        sa.CheckConstraint("said_by <> '' AND reason <> ''", name=op.f("cadence_override_said_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("cadence_override_pkey")),
        comment="What people said about coming days, against what the cadence would decide",
    )
    op.create_table(
        "cadence_day",
        sa.Column("channel", sa.Text(), nullable=False, comment="Whose cadence"),
        sa.Column("day", sa.Date(), nullable=False, comment="Nominal day: the log is known up to its midnight"),
        sa.Column("action", sa.Text(), nullable=False, comment="What was started: none | counts | rag_refresh | fine_tune"),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False, comment="Why, in words"),
        sa.Column("measured", postgresql.JSONB(), nullable=True, comment="What the day before said; null: it was not measured"),
        sa.Column("cost", sa.Double(), nullable=False, comment="Seconds that the action was expected to take"),
        sa.Column("budget_left", sa.Double(), nullable=True, comment="Seconds left after it; null: there is no limit"),
        sa.Column("settings", postgresql.JSONB(), nullable=False, comment="The cadence's settings that day"),
        sa.Column("override", sa.BigInteger(), nullable=True, comment="The override that decided"),
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="Workflow that decided"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run of that workflow"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), comment="When"),
        sa.CheckConstraint(ACTIONS, name=op.f("cadence_day_action_check")),
        sa.ForeignKeyConstraint(["override"], ["cadence_override.id"], name=op.f("cadence_day_override_fkey")),
        sa.PrimaryKeyConstraint("channel", "day", name=op.f("cadence_day_pkey")),
        comment="Every day that a cadence decided about, whether it acted or not",
    )
    for table in ("cadence_override", "cadence_day"):
        each = f"BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW"
        op.execute(f"CREATE TRIGGER refuse_change {each} EXECUTE FUNCTION refuse_change()")
        op.execute(f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.drop_table("cadence_day")
    op.drop_table("cadence_override")
