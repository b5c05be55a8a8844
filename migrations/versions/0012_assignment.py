"""Items that come after their cluster set: centres, versions of the assignment, and the share of events that no cluster has.

What a table's clusters had is in a view of its own: workers of before read `table_overview` column by column.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = ("cluster_centre", "assignment", "assignment_item")

VIEW = """
CREATE VIEW table_assignment AS
SELECT t.version, c.assignment,
    (SELECT coalesce(sum(a.items), 0)::bigint FROM assignment a
        WHERE a.cluster_set = t.cluster_set AND a.version <= c.assignment) AS assigned_items,
    (SELECT e.unknown_share FROM evaluation e WHERE e.table_version = t.version ORDER BY e.id DESC LIMIT 1) AS unknown_share
FROM transition_table t JOIN counts c ON c.version = t.counts_version;
COMMENT ON VIEW table_assignment IS 'Which items the clusters of a table had, and what share of the events none of them has';
COMMENT ON COLUMN table_assignment.assignment IS 'Newest assignment of its cluster set when it was counted, if there was one';
COMMENT ON COLUMN table_assignment.assigned_items IS 'Items that the assignments up to that one added to the set';
"""


def upgrade() -> None:
    op.create_table(
        "cluster_centre",
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Version of the set"),
        sa.Column("cluster", sa.Integer(), nullable=False, comment="Id within the set"),
        sa.Column(
            "centre",
            postgresql.ARRAY(sa.REAL()),
            nullable=False,
            comment="Mean embedding of its items, weighted by traffic, of length 1",
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="The embedding model"),
        sa.ForeignKeyConstraint(
            ["cluster_set", "cluster"],
            ["cluster.cluster_set", "cluster.cluster"],
            name=op.f("cluster_centre_cluster_set_cluster_fkey"),
        ),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("cluster_centre_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("cluster_set", "cluster", name=op.f("cluster_centre_pkey")),
        comment="The middle of each cluster, to which new items are compared; a cluster whose items have no text has none",
    )
    op.create_table(
        "assignment",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the assignment before, the items and the method: the same input is the same version",
        ),
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="The set that items were added to"),
        sa.Column("items", sa.BigInteger(), nullable=False, comment="Items that this version added"),
        sa.Column(
            "method",
            postgresql.JSONB(),
            nullable=False,
            comment="Embedding model, catalogue, and what it was computed with",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("assignment_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("assignment_pkey")),
        sa.UniqueConstraint("key", name=op.f("assignment_key_key")),
        comment="A version of which items a cluster set has: its own, and those of all its assignments up to this one",
    )
    op.create_index(op.f("assignment_cluster_set_version_idx"), "assignment", ["cluster_set", "version"], unique=False)
    op.create_table(
        "assignment_item",
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Version of the set"),
        sa.Column("item", sa.Text(), nullable=False, comment="Item id of the log; new to the set"),
        sa.Column("cluster", sa.Integer(), nullable=False, comment="The cluster with the nearest centre"),
        sa.Column("assignment", sa.BigInteger(), nullable=False, comment="The version that added it"),
        sa.Column("similarity", sa.REAL(), nullable=False, comment="Cosine of its text's embedding and that centre"),
        sa.ForeignKeyConstraint(["assignment"], ["assignment.version"], name=op.f("assignment_item_assignment_fkey")),
        sa.ForeignKeyConstraint(
            ["cluster_set", "cluster"],
            ["cluster.cluster_set", "cluster.cluster"],
            name=op.f("assignment_item_cluster_set_cluster_fkey"),
        ),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("assignment_item_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("cluster_set", "item", name=op.f("assignment_item_pkey")),
        comment="Items that came after their cluster set",
    )
    op.create_index(op.f("assignment_item_assignment_idx"), "assignment_item", ["assignment"], unique=False)
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
    op.add_column(
        "counts",
        sa.Column(
            "assignment",
            sa.BigInteger(),
            sa.ForeignKey("assignment.version", name=op.f("counts_assignment_fkey")),
            nullable=True,
            comment="Which items its clusters had; null: the set's own",
        ),
    )
    op.alter_column(
        "counts",
        "key",
        existing_type=sa.Text(),
        existing_nullable=False,
        existing_comment=_key("cluster set, window, de-duplication, predicate and rows"),
        comment=_key("cluster set, assignment, window, de-duplication, predicate and rows"),
    )
    op.add_column(
        "evaluation",
        sa.Column(
            "unknown_share",
            sa.Double(),
            nullable=True,
            comment="Share of the positive events that are of items in no cluster: the larger window's",
        ),
    )
    op.execute(VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW table_assignment")
    op.drop_column("evaluation", "unknown_share")
    op.alter_column(
        "counts",
        "key",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment=_key("cluster set, window, de-duplication, predicate and rows"),
    )
    op.drop_column("counts", "assignment")
    for table in reversed(TABLES):
        op.drop_table(table)


def _key(of: str) -> str:
    return f"SHA-256 of {of}: the same input is the same version"
