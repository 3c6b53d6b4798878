"""When it was said last that a tablet of a node is lost."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "tablets_lost",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("lost_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id"),
    )
