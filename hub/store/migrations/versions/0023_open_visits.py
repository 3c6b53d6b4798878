"""Open visits in the order of their ids: a hub goes through them in slices."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index anew."""
    op.drop_index("visits_open", table_name="visits")
    op.create_index("visits_open", "visits", ["open", "visit_id"])
