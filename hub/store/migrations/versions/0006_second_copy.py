"""Changes that wait for the second copy."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables of the second copy; a change of the schema begins a new history."""
    op.create_table(
        "copy_state",
        sa.Column("history", sa.String(length=16), primary_key=True),
        sa.Column("lsn", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "copy_log",
        sa.Column("lsn", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
