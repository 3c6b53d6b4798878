"""The rota: when doctors sit, for whom they may be asked, and what patients were told of their wait."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "rota_shifts",
        sa.Column("district", sa.String(length=200), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("from_min", sa.Integer(), nullable=False),
        sa.Column("to_min", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("district", "weekday", "from_min"),
    )
    op.create_table(
        "rota_holidays",
        sa.Column("day", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("district", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_hi", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("day", "district"),
    )
    op.create_table(
        "rota_doctors",
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.Column("ready_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("doctor_id"),
    )
    op.create_table(
        "rota_waits",
        sa.Column("visit_id", sa.String(length=16), nullable=False),
        sa.Column("district", sa.String(length=200), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.LargeBinary(), nullable=True),
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("taken_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("visit_id"),
    )
    op.create_index("rota_waits_by_taken", "rota_waits", ["taken_ms"])
    op.create_index("rota_waits_by_since", "rota_waits", ["since_ms"])
