"""How often each pair occurred in a window, ready to read: summing two million triples takes a page two seconds.

Versions that were counted before have no row; what asks for them sums (`db/pairs.py`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0018"
branch_labels = None
depends_on = None

COMMENT = "Occurrences of each ordered pair of a counts version, as columns of big-endian integers; the sum of its triples"


def upgrade() -> None:
    op.create_table(
        "pair_traffic",
        sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False, comment="Counts version"),
        sa.Column("c1", sa.LargeBinary(), nullable=False, comment="First cluster of each pair, 4 bytes each, ascending"),
        sa.Column("c2", sa.LargeBinary(), nullable=False, comment="Second cluster of each pair, 4 bytes each"),
        sa.Column("n", sa.LargeBinary(), nullable=False, comment="Occurrences of each pair, 8 bytes each"),
        sa.ForeignKeyConstraint(["version"], ["counts.version"], name=op.f("pair_traffic_version_fkey")),
        comment=COMMENT,
    )
    for column in ("c1", "c2", "n"):  # to be read whole, and soon: never compressed
        op.execute(f"ALTER TABLE pair_traffic ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON pair_traffic FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute("CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON pair_traffic EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.drop_table("pair_traffic")
