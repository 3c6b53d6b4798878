"""What down blobs hold, and what a person has to know about a node."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Name the entries in each down blob, and make the table of notices."""
    op.add_column("down", sa.Column("run", sa.LargeBinary(), nullable=True))
    op.add_column("down", sa.Column("stream", sa.Integer(), nullable=True))
    op.add_column("down", sa.Column("first_seq", sa.BigInteger(), nullable=True))
    op.add_column("down", sa.Column("last_seq", sa.BigInteger(), nullable=True))
    op.create_table(
        "notices",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "code"),
    )
