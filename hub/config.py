"""Settings of a hub process, as its command line gives them. Data only."""

from pathlib import Path

from msgspec import Struct

from edge.model.errors import BadInput

from .directory import Ports
from .rota.core import Settings as RotaSettings
from .store.dialect import default_url
from .turn import Turn


class Settings(Struct, frozen=True):
    """How one hub process runs."""

    data: Path
    http_host: str = "127.0.0.1"
    http_port: int = 8480
    link_host: str = "0.0.0.0"
    """Where UDP and TLS listen: nodes come from anywhere, and are believed by their keys only."""
    udp_port: int = 8481
    tls_port: int = 8482
    database: str = ""
    """SQLAlchemy URL; empty: SQLite in the data folder."""
    turn: Turn = Turn()
    secure_cookie: bool = False
    """True behind a proxy that speaks HTTPS to the browsers."""

    sms_modem: str = ""
    """Serial port of a GSM modem; empty: no SMS."""

    @property
    def blobs_folder(self) -> Path:
        """Where photos, notes and clips lie, sealed."""
        return self.data / "blobs"

    @property
    def updates_folder(self) -> Path:
        """Where updates lie that nodes fetch by link."""
        return self.data / "updates"

    update_bps: int = 8_000_000
    """So much of updates leaves this process at most, all nodes together, bits per second; 0: none by link."""

    copy: Path | None = None
    """Folder of the second copy, on another disk; None: nothing is ever acknowledged at level 2."""

    @property
    def copied_blobs_folder(self) -> Path | None:
        """Where the second copy of photos, notes and clips lies, sealed as the first."""
        return None if self.copy is None else self.copy / "blobs"

    blobs: str = ""
    """``https://HOST/BUCKET`` of an S3-compatible store for photos and notes; empty: a folder of the data."""
    blobs_keys: Path | None = None
    """File with the keys of that store."""

    home: str = ""
    """How messages reach patients at home: ``demo``, or a JSON file with ``url`` and ``authorization``; empty: the
    pages for them are off."""

    nats: str = ""
    """``nats://HOST:4222``, through which the processes of a hub speak with each other; empty: there is one process."""

    fhir_endpoint: str = ""
    """``https://HOST/fhir`` that takes documents of visits; empty: none leave."""
    fhir_token_file: Path | None = None
    """One line: the bearer token of that endpoint."""
    fhir_consent: tuple[str, ...] = ()
    """Versions of the data statement whose words speak of that endpoint: only with their consent a document leaves."""

    gone_s: int = RotaSettings().gone_s
    """A doctor who is not there for so long loses whom she took and is not ready any more, seconds."""

    metrics: str = ""
    """``ADDR:PORT`` on which Prometheus may ask; empty: it may not."""

    @property
    def database_url(self) -> str:
        return self.database or default_url(self.data)

    @property
    def ports(self) -> Ports:
        return Ports(self.udp_port, self.tls_port)


def parse_address(text: str) -> tuple[str, int]:
    """``ADDR:PORT`` or ``PORT``. Raises BadInput."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise BadInput("An address looks like 127.0.0.1:8480.", field="http")
    return host.strip("[]") or "127.0.0.1", int(port)
