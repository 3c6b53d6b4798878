"""Who is there, by the word of each process; and which patients a doctor lost because her page was gone."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "presence",
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_table(
        "rota_left",
        sa.Column("visit_id", sa.String(length=16), nullable=False),
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("to_id", sa.String(length=60), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("visit_id", "doctor_id"),
    )
    op.create_index("rota_left_by_at", "rota_left", ["at_ms"])
