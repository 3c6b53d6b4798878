"""The label on a node's box: Wi-Fi name and key in words and as a QR code, and the address of the pages, as a PDF."""

import io
from pathlib import Path

import msgspec
import segno
import segno.helpers
import typst

from edge.model.provisioning import Provisioning
from edge.slips.coverage import FONTS_DIR

HERE = Path(__file__).parent
DEFAULT_ADDRESS = "http://upkendra.lan"
"""Leads a new tablet through trusting the box; by `https` its browser would only warn."""


class Words(msgspec.Struct, frozen=True):
    """What the label prints. ``qr``: SVG text."""

    place: str
    ssid: str
    passphrase: str
    address: str
    version: str
    qr: str


def render(provisioning: Provisioning, place: str, version: str, address: str = DEFAULT_ADDRESS) -> bytes:
    """The PDF, 90 × 60 mm."""
    code = segno.helpers.make_wifi(provisioning.wifi.ssid, provisioning.wifi.passphrase, "WPA")
    picture = io.BytesIO()
    code.save(picture, kind="svg", scale=4, border=2)
    words = Words(
        place,
        provisioning.wifi.ssid,
        provisioning.wifi.passphrase,
        address,
        version,
        picture.getvalue().decode(),
    )
    compiler = typst.Compiler(root=str(HERE), font_paths=[str(FONTS_DIR)], ignore_system_fonts=True)
    made = compiler.compile(
        input=(HERE / "label.typ").read_bytes(),
        format="pdf",
        sys_inputs={"label": msgspec.json.encode(words).decode()},
        timestamp=0,
    )
    assert isinstance(made, bytes)
    return made
