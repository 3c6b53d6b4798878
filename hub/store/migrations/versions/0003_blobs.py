"""Photos, voice notes and clips: what is known of each, and chunks that wait for the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of blobs and their chunks."""
    op.create_table(
        "blobs",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("blob_id", sa.String(length=16), nullable=False),
        sa.Column("visit_id", sa.String(length=16), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("noted_ms", sa.BigInteger(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("whole_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "blob_id"),
    )
    op.create_index("blobs_by_visit", "blobs", ["visit_id"])
    op.create_index("blobs_by_state", "blobs", ["state"])
    op.create_table(
        "blob_chunks",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("blob_id", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "blob_id", "number"),
    )
