"""Prescriptions that are being written."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of the doctors' sheets."""
    op.create_table(
        "rx_drafts",
        sa.Column("visit_id", sa.String(length=16), nullable=False),
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("command_id", sa.String(length=16), nullable=False),
        sa.Column("draft", sa.LargeBinary(), nullable=False),
        sa.Column("saved_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("visit_id", "doctor_id"),
    )
