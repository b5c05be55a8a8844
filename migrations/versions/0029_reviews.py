"""The stop where a person decides is a review, in the comments too; a gate is the automatic check."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0024"
branch_labels = None
depends_on = None

ENDS = "When an unanswered review ends; nothing is published"
ENDS_BEFORE = "When an unanswered gate ends; nothing is published"
PERMITTED = "The review whose approval permitted it"
PERMITTED_BEFORE = "The gate whose approving review permitted it"


def upgrade() -> None:
    _say(ENDS, ENDS_BEFORE, PERMITTED, PERMITTED_BEFORE)


def downgrade() -> None:
    _say(ENDS_BEFORE, ENDS, PERMITTED_BEFORE, PERMITTED)


def _say(ends: str, ends_before: str, permitted: str, permitted_before: str) -> None:
    op.alter_column(*("gate", "expires_at"), comment=ends, existing_comment=ends_before, existing_type=sa.DateTime(timezone=True))
    op.alter_column(*("publication", "gate_id"), comment=permitted, existing_comment=permitted_before, existing_type=sa.Text())
