"""The hub's tables, as SQLAlchemy Core sees them. Knows no engine and no dialect.

Every change here takes a revision in ``migrations/versions``; a test compares the two. Times are
Unix milliseconds, identifiers as in :mod:`edge.model.ids`, secrets sealed by :mod:`hub.keys`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("hint", LargeBinary, nullable=False),
    Column("site_code", String(40), nullable=False),
    Column("site_name", String(200), nullable=False),
    Column("district", String(200), nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("device_public", LargeBinary, nullable=False),
    Column("log_public", LargeBinary, nullable=False),
    Column("records_public", LargeBinary, nullable=False),
    Column("psk_sealed", LargeBinary, nullable=False),
    Column("unlock_sealed", LargeBinary, nullable=False),
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),
    Column("told_key_ms", BigInteger, nullable=False, server_default="0"),
    Column("block", String(200), nullable=False, server_default=""),
    Column("told_on_call_ms", BigInteger, nullable=False, server_default="0"),
    Index("nodes_by_hint", "hint"),
)

former_nodes = Table(
    "former_nodes",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("replaced_ms", BigInteger, primary_key=True),
    Column("device_public", LargeBinary, nullable=False),
    Column("log_public", LargeBinary, nullable=False),
    Column("records_public", LargeBinary, nullable=False),
    Column("psk_sealed", LargeBinary, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),
)

removed_staff = Table(
    "removed_staff",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("staff_id", String(200), primary_key=True),
    Column("removed_ms", BigInteger, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("signed_list", LargeBinary, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("site_code", String(40), nullable=False),
    Column("site_name", String(200), nullable=False),
    Column("district", String(200), nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    Column("request_hash", LargeBinary),
    Column("reply", LargeBinary),
    Column("node_id", String(16), nullable=False),
    Column("block", String(200), nullable=False, server_default=""),
)

entries = Table(
    "entries",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("node_id", String(16), nullable=False),
    Column("run", LargeBinary, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("c", LargeBinary),
    Column("h", LargeBinary),
    Column("kind", Integer, nullable=False),
    Column("stamp", BigInteger, nullable=False),
    Column("visit_id", String(16), nullable=False),
    Column("patient_id", String(16), nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    UniqueConstraint("node_id", "run", "stream", "seq", name="one_entry_a_place"),
    Index("entries_by_visit", "visit_id"),
    Index("entries_by_patient", "patient_id"),
)

heads = Table(
    "heads",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("run", LargeBinary, primary_key=True),
    Column("stream", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("signed", LargeBinary, nullable=False),
    Column("state", String(12), nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("node_id", String(16), nullable=False),
    Column("content_hash", LargeBinary, nullable=False, unique=True),
    Column("content", LargeBinary, nullable=False),
    Column("reason", String(60), nullable=False),
    Column("received_ms", BigInteger, nullable=False),
)

node_staff = Table(
    "node_staff",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("staff_id", String(200), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("name_hi", String(80), nullable=False),
    Column("role", String(20), nullable=False),
    Column("stamp", BigInteger, nullable=False),
)

node_told = Table(
    "node_told",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("stamp", BigInteger, nullable=False),
    Column("told", LargeBinary, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    Column("patient_id", String(16), primary_key=True),
    Column("node_id", String(16), nullable=False),
    Column("view", LargeBinary, nullable=False),
)

visits = Table(
    "visits",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("node_id", String(16), nullable=False),
    Column("patient_id", String(16), nullable=False),
    Column("state", String(20), nullable=False),
    Column("colour", String(12), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("doctor_id", String(60), nullable=False),
    Column("queued_ms", BigInteger, nullable=False),
    Column("arrived_ms", BigInteger, nullable=False),
    Column("view", LargeBinary, nullable=False),
    Index("visits_by_patient", "patient_id"),
    Index("visits_open", "open", "visit_id"),
)

down = Table(
    "down",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("cls", Integer, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("stored_ms", BigInteger, nullable=False),
    Column("run", LargeBinary),
    Column("stream", Integer),
    Column("first_seq", BigInteger),
    Column("last_seq", BigInteger),
    Index("down_waiting", "stored_ms"),
)

notices = Table(
    "notices",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("code", String(40), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)

doctors = Table(
    "doctors",
    metadata,
    Column("doctor_id", String(60), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("registration", String(200), nullable=False),
    Column("qualification", String(200), nullable=False),
    Column("contact", String(200), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("totp_sealed", LargeBinary, nullable=False),
    Column("totp_step", BigInteger, nullable=False),
    Column("key_public", LargeBinary, nullable=False),
    Column("key_wrapped", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger, nullable=False),
)

failures = Table(
    "failures",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("csrf", String(60), nullable=False),
    Column("doctor_id", String(60), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", String(60), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(60), nullable=False),
    Column("result", String(60), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("audit_by_subject", "subject"),
    Index("audit_by_action", "action"),
)

notes = Table(
    "notes",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("doctor_id", String(60), primary_key=True),
    Column("text", Text, nullable=False),
    Column("saved_ms", BigInteger, nullable=False),
)

rx_drafts = Table(
    "rx_drafts",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("doctor_id", String(60), primary_key=True),
    Column("command_id", String(16), nullable=False),
    Column("draft", LargeBinary, nullable=False),
    Column("saved_ms", BigInteger, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("command_id", String(16), primary_key=True),
    Column("doctor_id", String(60), nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("prescription_id", String(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("call_id", String(16), primary_key=True),
    Column("visit_id", String(16), nullable=False),
    Column("node_id", String(16), nullable=False),
    Column("doctor_id", String(60), nullable=False),
    Column("phase", String(12), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("ended_because", String(200), nullable=False),
    Column("held_ms", BigInteger, nullable=False),
    Column("video_s", Float, nullable=False),
    Column("audio_s", Float, nullable=False),
    Column("concealed_s", Float, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("mode", String(12), nullable=False),
    Index("calls_by_visit", "visit_id"),
    Index("calls_by_held", "held_ms"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("blob_id", String(16), primary_key=True),
    Column("visit_id", String(16), nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("state", String(12), nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("noted_ms", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("whole_ms", BigInteger, nullable=False),
    Index("blobs_by_visit", "visit_id"),
    Index("blobs_by_state", "state"),
)

blob_chunks = Table(
    "blob_chunks",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("blob_id", String(16), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("parts", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
)

roles = Table(
    "roles",
    metadata,
    Column("person_id", String(60), primary_key=True),
    Column("role", String(30), primary_key=True),
    Column("given_ms", BigInteger, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("item", String(60), primary_key=True),
    Column("fingerprint", String(16), nullable=False),
    Column("decision", String(12), nullable=False),
    Column("person_id", String(60), nullable=False),
    Column("person_name", String(80), nullable=False),
    Column("note", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

rx_saved = Table(
    "rx_saved",
    metadata,
    Column("doctor_id", String(60), primary_key=True),
    Column("saved_id", String(16), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("lines", LargeBinary, nullable=False),
    Column("saved_ms", BigInteger, nullable=False),
)

node_stock = Table(
    "node_stock",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("drug_id", String(60), primary_key=True),
    Column("stamp", BigInteger, primary_key=True),
    Column("units", BigInteger, nullable=False),
    Column("counted", Boolean, nullable=False),
)

rota_shifts = Table(
    "rota_shifts",
    metadata,
    Column("district", String(200), primary_key=True),
    Column("weekday", Integer, primary_key=True, autoincrement=False),
    Column("from_min", Integer, primary_key=True, autoincrement=False),
    Column("to_min", Integer, nullable=False),
)

rota_holidays = Table(
    "rota_holidays",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("district", String(200), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("name_hi", String(80), nullable=False),
)

rota_doctors = Table(
    "rota_doctors",
    metadata,
    Column("doctor_id", String(60), primary_key=True),
    Column("profile", LargeBinary, nullable=False),
    Column("ready_ms", BigInteger, nullable=False),
)

rota_waits = Table(
    "rota_waits",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("district", String(200), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("told_ms", BigInteger, nullable=False),
    Column("told", LargeBinary),
    Column("doctor_id", String(60), nullable=False),
    Column("taken_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger, nullable=False),
    Index("rota_waits_by_taken", "taken_ms"),
    Index("rota_waits_by_since", "since_ms"),
)

unlocks = Table(
    "unlocks",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("heard_ms", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("decided_by", String(60), nullable=False),
    Column("why", String(200), nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
)

exchange_documents = Table(
    "exchange_documents",
    metadata,
    Column("endpoint", String(16), primary_key=True),
    Column("document_id", String(36), primary_key=True),
    Column("visit_id", String(16), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("state", String(12), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("code", String(40), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger, nullable=False),
    Index("exchange_due", "endpoint", "state", "next_ms"),
    Index("exchange_by_visit", "visit_id"),
)

exchange_seen = Table(
    "exchange_seen",
    metadata,
    Column("endpoint", String(16), primary_key=True),
    Column("entry_id", BigInteger, nullable=False),
)

leadership = Table(
    "leadership",
    metadata,
    Column("name", String(8), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

staff_told = Table(
    "staff_told",
    metadata,
    Column("person_id", String(60), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("told_ms", BigInteger, nullable=False),
)

officers = Table(
    "officers",
    metadata,
    Column("role", String(12), primary_key=True),
    *(Column(name, String(120), nullable=False) for name in ("name", "phone", "email")),
)

copy_state = Table(
    "copy_state",
    metadata,
    Column("history", String(16), primary_key=True),
    Column("lsn", BigInteger, nullable=False),
)

copy_log = Table(
    "copy_log",
    metadata,
    Column("lsn", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
