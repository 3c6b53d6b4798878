"""Which KEM key each node was told last."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nodes that were enrolled before know the first key."""
    op.add_column("nodes", sa.Column("told_key_ms", sa.BigInteger(), nullable=False, server_default="0"))
