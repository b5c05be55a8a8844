"""Versions of the sequence recommender, which returns items of the predicted interest."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recommender",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of cluster set, assignment, windows, recipe and content: the same input is the same version",
        ),
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Cluster set whose items it recommends"),
        sa.Column("assignment", sa.BigInteger(), nullable=True, comment="Which items its clusters had; null: the set's own"),
        sa.Column("nominal", sa.DateTime(timezone=True), nullable=False, comment="The run's nominal time; windows come from it"),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False, comment="First instant that it was trained on"),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False, comment="First instant after what it has seen"),
        sa.Column("uri", sa.Text(), nullable=False, comment="Where weights and item embeddings are kept"),
        sa.Column("hash", sa.Text(), nullable=False, comment="SHA-256 of them"),
        sa.Column("sequences_hash", sa.Text(), nullable=False, comment="SHA-256 of the item sequences"),
        sa.Column("encoder_uri", sa.Text(), nullable=False, comment="Where what training made is kept"),
        sa.Column("encoder_hash", sa.Text(), nullable=False, comment="SHA-256 of what training made"),
        sa.Column("recipe", postgresql.JSONB(), nullable=False, comment="Every knob, the catalogue and the embeddings of texts"),
        sa.Column("items", sa.BigInteger(), nullable=False, comment="Items that it can recommend"),
        sa.Column("new_items", sa.BigInteger(), nullable=False, comment="Of them, those whose vector comes from their text"),
        sa.Column("popularity", sa.Double(), nullable=False, comment="Weight of log popularity that the validation days chose"),
        sa.Column("metrics", postgresql.JSONB(), nullable=False, comment="What training reported: losses, NDCG, seconds"),
        sa.Column(
            "measured", postgresql.JSONB(), nullable=False, comment="On the test days: NDCG and hit rate, each beside others"
        ),
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="Workflow that made it"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run of that workflow"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.CheckConstraint("window_start < window_end", name=op.f("recommender_window_check")),
        sa.ForeignKeyConstraint(["assignment"], ["assignment.version"], name=op.f("recommender_assignment_fkey")),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("recommender_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("recommender_pkey")),
        sa.UniqueConstraint("key", name=op.f("recommender_key_key")),
        comment="A version of the sequence recommender: weights, item embeddings and everything needed to make it again",
    )
    op.create_index(op.f("recommender_cluster_set_version_idx"), "recommender", ["cluster_set", "version"], unique=False)
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON recommender FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON recommender EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.drop_table("recommender")
