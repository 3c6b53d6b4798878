"""Calls that are not written into their visits are looked for every few seconds."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("calls_by_held", "calls", ["held_ms"])
