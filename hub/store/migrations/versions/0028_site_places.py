"""What people are told who look for a centre: villages, telephone, hours and, where known, its coordinates."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "site_places",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("villages", sa.String(length=2000), nullable=False),
        sa.Column("phone", sa.String(length=20), nullable=False),
        sa.Column("days", sa.String(length=7), nullable=False),
        sa.Column("opens", sa.String(length=5), nullable=False),
        sa.Column("closes", sa.String(length=5), nullable=False),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("node_id"),
    )
