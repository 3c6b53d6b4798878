"""Who is named for complaints, and to authorities."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "officers",
        sa.Column("role", sa.String(length=12), nullable=False),
        *(sa.Column(name, sa.String(length=120), nullable=False) for name in ("name", "phone", "email")),
        sa.PrimaryKeyConstraint("role"),
    )
