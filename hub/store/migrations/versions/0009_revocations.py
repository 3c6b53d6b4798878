"""What is no longer believed: lists for nodes, removed staff, machines that were replaced."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "former_nodes",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("replaced_ms", sa.BigInteger(), nullable=False),
        sa.Column("device_public", sa.LargeBinary(), nullable=False),
        sa.Column("log_public", sa.LargeBinary(), nullable=False),
        sa.Column("records_public", sa.LargeBinary(), nullable=False),
        sa.Column("psk_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "replaced_ms"),
    )
    op.create_table(
        "removed_staff",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("staff_id", sa.String(length=200), nullable=False),
        sa.Column("removed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "staff_id"),
    )
    op.create_table(
        "revocations",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("signed_list", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("node_id"),
    )
