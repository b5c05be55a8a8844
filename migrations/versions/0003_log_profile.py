"""What `driftline ingest` found in the log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_profile",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column("source", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Where the log was read, and how"),
        sa.Column("profile", postgresql.JSONB(), nullable=False, comment="Sizes, span, dropped rows by reason"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("log_profile_pkey")),
        comment="What `driftline ingest` found in the event log",
    )
    each = "BEFORE UPDATE OR DELETE ON log_profile FOR EACH ROW"
    op.execute(f"CREATE TRIGGER refuse_change {each} EXECUTE FUNCTION refuse_change()")
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON log_profile EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.drop_table("log_profile")
