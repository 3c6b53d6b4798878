"""Tables of the patients at home; as :mod:`hub.store.schema`, whose metadata they stand in."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table

from .schema import metadata as metadata

home_sites = Table(
    "home_sites",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("district", String(200), nullable=False, unique=True),
    Column("demo", Boolean, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)

home_accounts = Table(
    "home_accounts",
    metadata,
    Column("account_id", String(16), primary_key=True),
    Column("number_mac", LargeBinary, nullable=False, unique=True),
    Column("number_sealed", LargeBinary, nullable=False),
    Column("centre", String(16), nullable=False),
    Column("language", String(3), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)

home_codes = Table(
    "home_codes",
    metadata,
    Column("number_mac", LargeBinary, primary_key=True),
    Column("device_mac", LargeBinary, primary_key=True),
    Column("code_mac", LargeBinary, nullable=False),
    Column("lane", String(8), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("guesses", Integer, nullable=False),
)

home_devices = Table(
    "home_devices",
    metadata,
    Column("number_mac", LargeBinary, primary_key=True),
    Column("device_mac", LargeBinary, primary_key=True),
    Column("proved_ms", BigInteger, nullable=False),
)

home_counts = Table(
    "home_counts",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Index("home_counts_by_end", "ends_ms"),
)

home_sessions = Table(
    "home_sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("csrf", String(60), nullable=False),
    Column("account_id", String(16), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
)

home_people = Table(
    "home_people",
    metadata,
    Column("account_id", String(16), primary_key=True),
    Column("patient_id", String(16), primary_key=True),
    Column("added_ms", BigInteger, nullable=False),
    Index("home_people_by_patient", "patient_id"),
)

home_passes = Table(
    "home_passes",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("number_mac", LargeBinary, nullable=False),
    Column("token", String(60), nullable=False),
    Column("pass_mac", LargeBinary, nullable=False),
    Column("pass_sealed", LargeBinary, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("guesses", Integer, nullable=False),
    Index("home_passes_by_number", "number_mac"),
)

home_commands = Table(
    "home_commands",
    metadata,
    Column("command_id", String(16), primary_key=True),
    Column("account_id", String(16), nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

home_serials = Table(
    "home_serials",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("serial", BigInteger, nullable=False),
)

home_messages = Table(
    "home_messages",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("kind", String(12), primary_key=True),
    Column("mark", String(60), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)

home_push_key = Table(
    "home_push_key",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

home_pushes = Table(
    "home_pushes",
    metadata,
    Column("name", LargeBinary, primary_key=True),
    Column("account_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Index("home_pushes_by_account", "account_id"),
)

home_pushed = Table(
    "home_pushed",
    metadata,
    Column("word", String(32), primary_key=True),
    Column("account_id", String(16), nullable=False),
    Column("visit_id", String(16), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Index("home_pushed_by_due", "due_ms"),
)
