"""Which term of a leader is the last, and which doctors all nodes were told of."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the doctors of before were told by the process that saw them come."""
    op.create_table(
        "leadership",
        sa.Column("name", sa.String(length=8), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "staff_told",
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.execute(
        "INSERT INTO staff_told (person_id, public_key, told_ms)"
        " SELECT doctor_id, key_public, 0 FROM doctors WHERE disabled_ms = 0"
    )
