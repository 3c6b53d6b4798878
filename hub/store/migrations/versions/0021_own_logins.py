"""Log-ins that somebody else has seen, and recovery codes."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. Whoever has an account keeps the log-in as it is."""
    op.create_table(
        "given_logins",
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("given_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.String(length=60), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash"),
    )
    op.create_index("recovery_codes_by_person", "recovery_codes", ["person_id"])
