"""Items and their clusters in one place: those that a set was made with, and those that its assignments added."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW item_cluster AS
SELECT cluster_set, item, cluster, NULL::bigint AS assignment FROM cluster_item
UNION ALL SELECT cluster_set, item, cluster, assignment FROM assignment_item;
COMMENT ON VIEW item_cluster IS 'Which cluster an item belongs to, in each cluster set; every item once';
COMMENT ON COLUMN item_cluster.assignment IS 'The assignment that added the item; null: the set was made with it';
"""


def upgrade() -> None:
    op.execute(VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW item_cluster")
