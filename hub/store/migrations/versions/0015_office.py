"""Administration: updates and their waves, break-glass, whom to ring, keys of accounts that were reset, blocks."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and say of each site in which block it lies."""
    for table in ("nodes", "tokens"):
        op.add_column(table, sa.Column("block", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("nodes", sa.Column("told_on_call_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("audit_by_action", "audit", ["action"])
    op.create_table(
        "updates",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("version", sa.String(length=60), nullable=False),
        sa.Column("target", sa.String(length=60), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "glass",
        sa.Column("glass_id", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("visit_id", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("reviewed_by", sa.String(length=60), nullable=False),
        sa.Column("reviewed_ms", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("glass_id"),
    )
    op.create_index("glass_by_person", "glass", ["person_id", "visit_id"])
    op.create_table(
        "on_call",
        sa.Column("district", sa.String(length=200), nullable=False),
        sa.Column("items", sa.LargeBinary(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("district"),
    )
    op.create_table(
        "retired_keys",
        sa.Column("key_public", sa.LargeBinary(), nullable=False),
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_public"),
    )
    op.create_table(
        "person_districts",
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("district", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "district"),
    )
