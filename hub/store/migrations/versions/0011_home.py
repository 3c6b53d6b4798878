"""Patients at home: sites, accounts, codes, sessions, family, passes of the day, commands and messages sent."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length), nullable=False)


def _bytes(name: str) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _ms(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=False)


def upgrade() -> None:
    """Make the ten tables."""
    demo: sa.Column[bool] = sa.Column("demo", sa.Boolean(), nullable=False)
    op.create_table(
        "home_sites",
        *(_text("node_id", 16), _text("district", 200), demo, _ms("made_ms")),
        sa.PrimaryKeyConstraint("node_id"),
        sa.UniqueConstraint("district"),
    )
    op.create_table(
        "home_accounts",
        *(_text("account_id", 16), _bytes("number_mac"), _bytes("number_sealed")),
        *(_text("centre", 16), _text("language", 3), _ms("made_ms")),
        sa.PrimaryKeyConstraint("account_id"),
        sa.UniqueConstraint("number_mac"),
    )
    op.create_table(
        "home_codes",
        *(_bytes("number_mac"), _bytes("code_mac"), _ms("expires_ms"), _count("guesses")),
        sa.PrimaryKeyConstraint("number_mac"),
    )
    op.create_table(
        "home_counts",
        *(_bytes("key"), _count("count"), _ms("ends_ms")),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("home_counts_by_end", "home_counts", ["ends_ms"])
    op.create_table(
        "home_sessions",
        *(_bytes("token_hash"), _text("csrf", 60), _text("account_id", 16), _ms("started_ms"), _ms("used_ms")),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "home_people",
        *(_text("account_id", 16), _text("patient_id", 16), _ms("added_ms")),
        sa.PrimaryKeyConstraint("account_id", "patient_id"),
    )
    op.create_index("home_people_by_patient", "home_people", ["patient_id"])
    op.create_table(
        "home_passes",
        *(_text("visit_id", 16), _bytes("number_mac"), _text("token", 60), _bytes("pass_mac"), _bytes("pass_sealed")),
        *(_ms("expires_ms"), _count("guesses")),
        sa.PrimaryKeyConstraint("visit_id"),
    )
    op.create_index("home_passes_by_number", "home_passes", ["number_mac"])
    op.create_table(
        "home_commands",
        *(_text("command_id", 16), _text("account_id", 16), _bytes("body_hash"), _ms("at_ms")),
        sa.PrimaryKeyConstraint("command_id"),
    )
    op.create_table(
        "home_serials",
        *(_text("name", 20), _ms("serial")),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "home_messages",
        *(_text("visit_id", 16), _text("kind", 12), _text("mark", 60), _ms("at_ms")),
        sa.PrimaryKeyConstraint("visit_id", "kind", "mark"),
    )
