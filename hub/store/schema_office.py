"""Tables of administration: updates and their waves, break-glass, whom to ring, keys of accounts that were reset,
specialists in calls.

As :mod:`hub.store.schema_home`, whose metadata they stand in.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table

from .schema_home import metadata as metadata

updates = Table(
    "updates",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", String(60), nullable=False),
    Column("version", String(60), nullable=False),
    Column("target", String(60), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("added_by", String(60), nullable=False),
)

update_told = Table(
    "update_told",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("name", String(60), nullable=False),
    Column("version", String(60), nullable=False),
    Column("state", String(60), nullable=False),
    Column("done_bytes", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("code", String(60), nullable=False),
    Column("why", String(300), nullable=False),
    Column("told_ms", BigInteger, nullable=False),
)

glass = Table(
    "glass",
    metadata,
    Column("glass_id", String(16), primary_key=True),
    Column("person_id", String(60), nullable=False),
    Column("visit_id", String(16), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("reads", Integer, nullable=False),
    Column("reviewed_by", String(60), nullable=False),
    Column("reviewed_ms", BigInteger, nullable=False),
    Column("verdict", String(200), nullable=False),
    Index("glass_by_person", "person_id", "visit_id"),
)

on_call = Table(
    "on_call",
    metadata,
    Column("district", String(200), primary_key=True),
    Column("items", LargeBinary, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

retired_keys = Table(
    "retired_keys",
    metadata,
    Column("key_public", LargeBinary, primary_key=True),
    Column("doctor_id", String(60), nullable=False),
    Column("retired_ms", BigInteger, nullable=False),
)

person_districts = Table(
    "person_districts",
    metadata,
    Column("person_id", String(60), primary_key=True),
    Column("district", String(200), primary_key=True),
)

thirds = Table(
    "thirds",
    metadata,
    Column("third_id", String(16), primary_key=True),
    Column("call_id", String(16), nullable=False),
    Column("visit_id", String(16), nullable=False),
    Column("node_id", String(16), nullable=False),
    Column("doctor_id", String(60), nullable=False),
    Column("wanted_id", String(60), nullable=False),
    Column("speciality", String(30), nullable=False),
    Column("asked_id", String(60), nullable=False),
    Column("tried", String(4000), nullable=False),
    Column("agreed", String(12), nullable=False),
    Column("phase", String(12), nullable=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("joined_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("because", String(20), nullable=False),
    Column("video_s", Float, nullable=False),
    Column("audio_s", Float, nullable=False),
    Column("concealed_s", Float, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Index("thirds_by_phase", "phase"),
    Index("thirds_by_call", "call_id"),
)

given_logins = Table(
    "given_logins",
    metadata,
    Column("person_id", String(60), primary_key=True),
    Column("given_ms", BigInteger, nullable=False),
)
"""Log-ins whose password and authenticator somebody else has seen."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("person_id", String(60), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Index("recovery_codes_by_person", "person_id"),
)

presence = Table(
    "presence",
    metadata,
    Column("person_id", String(60), primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
)

rota_left = Table(
    "rota_left",
    metadata,
    Column("visit_id", String(16), primary_key=True),
    Column("doctor_id", String(60), primary_key=True),
    Column("to_id", String(60), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("rota_left_by_at", "at_ms"),
)

site_places = Table(
    "site_places",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("villages", String(2000), nullable=False),
    Column("phone", String(20), nullable=False),
    Column("days", String(7), nullable=False),
    Column("opens", String(5), nullable=False),
    Column("closes", String(5), nullable=False),
    Column("lat", Float),
    Column("lon", Float),
)
"""What people are told who look for a centre; a centre without a line says its name, block and district only."""

rota_changes = Table(
    "rota_changes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("person_id", String(60), nullable=False),
    Column("before", LargeBinary, nullable=False),
)
"""How the rota stood before each change; the latest one can be taken back."""

formulary_versions = Table(
    "formulary_versions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("version", String(60), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("note", String(200), nullable=False),
    Column("drafted_ms", BigInteger, nullable=False),
    Column("drafted_by", String(60), nullable=False),
    Column("state", String(12), nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("decided_by", String(60), nullable=False),
    Column("decided_note", String(200), nullable=False),
)
"""The one that was approved last counts; without one that of the release. A content is never changed or removed."""
