"""What a node keeps in plain files: who it is, where its hub is, the keys of the device.

``node.json`` (0600) is written once at enrolment. Nothing here helps a thief to read a patient: the
log key L and the records key R live inside ``records.db``.
"""

import os
from pathlib import Path

import msgspec

from edge.model.errors import UpkendraError
from edge.sync.seal import NodeKeys

NODE_FILE = "node.json"
SLOTS_FILE = "slots.json"
ATTEMPTS_FILE = "attempts.json"
DAY_FILE = "day.json"
LOST_FILE = "lost.json"
TOLD_LOST_FILE = "lost-told"
EMERGENCY_FILE = "emergency.json"
RECORDS_FILE = "records.db"
OUTBOX_FILE = "outbox.db"
LOCK_FILE = "serving.lock"
CLOCK_FILE = "clock.json"
METER_FILE = "meter.json"
SILENCE_FILE = "silence.json"
WATCHED_FILE = "watched.json"
BALLAST_FILE = "ballast"
BALLAST_OF_COMMANDS_FILE = "ballast-commands"


class NotEnrolled(UpkendraError):
    """This data folder belongs to no enrolled node. Run ``./run node enrol`` first."""

    code = "not_enrolled"


class NodeDamaged(UpkendraError):
    """A file of this node cannot be read. Restore the data folder from a copy, or enrol a replacement."""

    code = "node_damaged"


class Site(msgspec.Struct, frozen=True):
    """The place where the node stands, as the hub named it."""

    code: str
    name: str
    district: str = ""


class NodeConfig(msgspec.Struct, frozen=True):
    """``node.json``. Bytes are base64 in the file."""

    node_id: bytes
    psk: bytes
    device: bytes
    log_public: bytes
    records_public: bytes
    hub_root: bytes
    hub_sign: bytes
    hub_kem: tuple[bytes, ...]
    tls_fingerprint: bytes
    hub_host: str
    udp_port: int
    wss_port: int
    site: Site
    demo: bool = False
    hub_kem_made_ms: int = 0
    language: str = "hi"
    data_caps_mb: dict[str, int] = {}
    """Million IP bytes a day and bearer, both ways; photos and the like wait when they are used up."""
    bulk_hours: str = ""
    """HH:MM-HH:MM, when photos and the like may leave; "" is any time."""
    update_hours: str = "20:00-06:00"
    """HH:MM-HH:MM, when updates may come by link, by a clock that is trusted; "" is any time."""
    training: bool = False
    """A node for practice (:mod:`.training`): it talks to nobody and serves no stick."""

    def __repr__(self) -> str:
        return f"NodeConfig({self.node_id.hex()})"

    def keys(self) -> NodeKeys:
        """The keys that the sync engine needs."""
        return NodeKeys(
            self.node_id,
            self.psk,
            self.device,
            self.hub_root,
            self.hub_sign,
            self.hub_kem,
            self.tls_fingerprint,
            self.hub_kem_made_ms,
        )


def write_private(path: Path, body: bytes) -> None:
    """Replace a file durably; only its owner may read it. Blocking."""
    fresh = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_config(folder: Path, config: NodeConfig) -> None:
    """Write ``node.json``. Blocking."""
    write_private(folder / NODE_FILE, msgspec.json.encode(config))


def load_config(folder: Path) -> NodeConfig:
    """Read ``node.json``. Raises NotEnrolled, NodeDamaged. Blocking."""
    try:
        return msgspec.json.decode((folder / NODE_FILE).read_bytes(), type=NodeConfig)
    except FileNotFoundError:
        raise NotEnrolled("This data folder holds no enrolled node. Enrol it first.") from None
    except msgspec.DecodeError:
        raise NodeDamaged(f"{NODE_FILE} is damaged. Restore it from a copy, or enrol a replacement.") from None
