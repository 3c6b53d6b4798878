"""Roles, decisions of the medical review, what doctors save, and the books of the shelves."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "roles",
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("role", sa.String(length=30), nullable=False),
        sa.Column("given_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "role"),
    )
    op.create_table(
        "reviews",
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.String(length=12), nullable=False),
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("person_name", sa.String(length=80), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("item"),
    )
    op.create_table(
        "rx_saved",
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("saved_id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.Column("saved_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("doctor_id", "saved_id"),
    )
    op.create_table(
        "node_stock",
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("drug_id", sa.String(length=60), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "drug_id", "stamp"),
    )
