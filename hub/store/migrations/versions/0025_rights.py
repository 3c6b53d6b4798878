"""How long things are kept, who asked for an erasure, and what was erased."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "retention",
        sa.Column("class", sa.String(length=20), nullable=False),
        sa.Column("keep_days", sa.Integer(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("class"),
    )
    texts = [("patient_id", 16), ("node_id", 16), ("reason", 60), ("state", 12)]
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(length=16), nullable=False),
        *(sa.Column(name, sa.String(length=length), nullable=False) for name, length in texts),
        sa.Column("asked_by", sa.String(length=60), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(length=60), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("visits", "entries", "blobs")),
        sa.Column("node_ms", sa.BigInteger(), nullable=False),
        sa.Column("scrubbed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id"),
    )
    op.create_index("erasures_by_state", "erasures", ["state"])
    op.create_table(
        "erased",
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("erasure_id", sa.String(length=16), nullable=False),
        sa.Column("salt_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("erased_by_erasure", "erased", ["erasure_id"])
    op.create_table(
        "erased_files",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
