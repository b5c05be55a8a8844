"""The first of two people who approve a candidate that a gate has stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COMMENT = "Approvals of a review that wait for those of a second person (web.two_persons)"


def upgrade() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True, comment="Order of consents"),
        sa.Column("gate_id", sa.Text(), nullable=False, comment="The review that somebody would approve"),
        sa.Column("reviewer", sa.Text(), nullable=False, comment="Who would"),
        sa.Column("known_by", sa.Text(), nullable=False, comment="How the name is known, as of a verdict"),
        sa.Column("shown", sa.Text(), nullable=False, comment="What they saw; it counts only while it is still so"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), comment="When"),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.gate_id"], name=op.f("consent_gate_id_fkey")),
        sa.UniqueConstraint("gate_id", "reviewer", "shown", name=op.f("consent_gate_id_reviewer_shown_key")),
        sa.CheckConstraint("reviewer <> ''", name=op.f("consent_reviewer_check")),
        comment=COMMENT,
    )
    op.execute("CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON consent FOR EACH ROW EXECUTE FUNCTION refuse_change()")
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON consent EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.drop_table("consent")
