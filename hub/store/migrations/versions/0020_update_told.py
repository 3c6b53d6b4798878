"""How far an update has come at each node, by the node's own word."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "update_told",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        *(sa.Column(name, sa.String(length=60), nullable=False) for name in ("name", "version", "state")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("done_bytes", "size_bytes")),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id"),
    )
