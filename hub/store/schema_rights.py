"""Tables of what the law asks: how long things are kept, who asked for an erasure, and what was erased.

As :mod:`hub.store.schema_office`, whose metadata they stand in.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from .schema_office import metadata as metadata

retention = Table(
    "retention",
    metadata,
    Column("class", String(20), primary_key=True),
    Column("keep_days", Integer, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("changed_by", String(60), nullable=False),
)
"""A class without a row is kept."""

erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", String(16), primary_key=True),
    Column("patient_id", String(16), nullable=False),
    Column("node_id", String(16), nullable=False),
    Column("reason", String(60), nullable=False),
    Column("state", String(12), nullable=False),
    Column("asked_by", String(60), nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("decided_by", String(60), nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("visits", Integer, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("blobs", Integer, nullable=False),
    Column("node_ms", BigInteger, nullable=False),
    Column("scrubbed_ms", BigInteger, nullable=False),
    Index("erasures_by_state", "state"),
)
"""``patient_id`` is empty once it was done."""

erased = Table(
    "erased",
    metadata,
    Column("name", LargeBinary, primary_key=True),
    Column("node_id", String(16), nullable=False),
    Column("erasure_id", String(16), nullable=False),
    Column("salt_sealed", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("erased_by_erasure", "erasure_id"),
)
"""A visit's salt stays, sealed, until its node has erased it too: what was on its way finds its place in the log."""

erased_files = Table(
    "erased_files",
    metadata,
    Column("name", String(120), primary_key=True),
)
"""Names on the shelves that are still to be deleted; their keys are gone."""

audit_shown = Table(
    "audit_shown",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("ids", LargeBinary, nullable=False),
)
"""Visits that a list showed, by the line of the audit log that holds their hash."""

tablets_lost = Table(
    "tablets_lost",
    metadata,
    Column("node_id", String(16), primary_key=True),
    Column("lost_ms", BigInteger, nullable=False),
)
"""When it was said last that a tablet of a node is lost."""

nominees = Table(
    "nominees",
    metadata,
    Column("patient_id", String(16), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("relation", String(60), nullable=False),
    Column("phone", String(20), nullable=False),
    Column("noted_ms", BigInteger, nullable=False),
    Column("noted_by", String(60), nullable=False),
)
"""Whom a patient has named to speak in her place."""
