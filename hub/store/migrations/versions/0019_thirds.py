"""Specialists who were asked into running calls, and who came."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "thirds",
        *(sa.Column(name, sa.String(length=16), nullable=False) for name in ("third_id", "call_id", "visit_id")),
        sa.Column("node_id", sa.String(length=16), nullable=False),
        sa.Column("doctor_id", sa.String(length=60), nullable=False),
        sa.Column("wanted_id", sa.String(length=60), nullable=False),
        sa.Column("speciality", sa.String(length=30), nullable=False),
        sa.Column("asked_id", sa.String(length=60), nullable=False),
        sa.Column("tried", sa.String(length=4000), nullable=False),
        sa.Column("agreed", sa.String(length=12), nullable=False),
        sa.Column("phase", sa.String(length=12), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("began_ms", "joined_ms", "ended_ms")),
        sa.Column("because", sa.String(length=20), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("video_s", "audio_s", "concealed_s")),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("third_id"),
    )
    op.create_index("thirds_by_phase", "thirds", ["phase"])
    op.create_index("thirds_by_call", "thirds", ["call_id"])
