"""A review that asks about serving a table on another channel, too, does not take back where it is served already.

Before, an open review made every table without a verdict unapproved, because it was opened for tables only that nothing served.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

APPROVED = """
CREATE OR REPLACE FUNCTION table_approved(version bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT CASE
            WHEN v.decision IN ('rerun', 'abort', 'revoke') THEN false
            WHEN v.decision = 'approve' AND v.evaluation = e.id THEN true
            ELSE cardinality(e.failed_gates) = 0 AND NOT e.review_required
                AND (v.decision IS NOT NULL OR NOT EXISTS (SELECT FROM gate g WHERE g.evaluation = e.id{exception}))
        END
        FROM evaluation e LEFT JOIN table_verdict v ON v.version = e.table_version
        WHERE e.table_version = table_approved.version ORDER BY e.id DESC LIMIT 1
    ), false)
$$;
"""
SERVED = """
                    AND NOT EXISTS (SELECT FROM publication p WHERE p.to_version = g.table_version AND p.at < g.opened_at)"""


def upgrade() -> None:
    op.execute(APPROVED.format(exception=SERVED))


def downgrade() -> None:
    op.execute(APPROVED.format(exception=""))
