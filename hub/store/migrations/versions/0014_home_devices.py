"""Codes belong to the device that asked for them, and a number knows the devices that proved it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; a code of the old one is good for five minutes, and its owner asks again."""
    op.drop_table("home_codes")
    op.create_table(
        "home_codes",
        sa.Column("number_mac", sa.LargeBinary(), nullable=False),
        sa.Column("device_mac", sa.LargeBinary(), nullable=False),
        sa.Column("code_mac", sa.LargeBinary(), nullable=False),
        sa.Column("lane", sa.String(length=8), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("guesses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number_mac", "device_mac"),
    )
    op.create_table(
        "home_devices",
        sa.Column("number_mac", sa.LargeBinary(), nullable=False),
        sa.Column("device_mac", sa.LargeBinary(), nullable=False),
        sa.Column("proved_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number_mac", "device_mac"),
    )
