"""A release's manifest: what an image is, signed. Nothing is written to a card before its signature holds.

Two files beside the image: ``NAME.manifest.json`` and ``NAME.manifest.sig``, 128 hex digits, an Ed25519 signature by
the update key over ``"upkendra image manifest 1\\0"`` and the JSON file's raw bytes. Pure.
"""

from typing import Annotated, Literal

import msgspec

from edge.model.errors import BadInput
from edge.sync import seal

from .errors import ImageRefused

FORMAT = 1
KEY_BYTES = 32
MANIFEST_MAX_BYTES = 64 * 1024
_CONTEXT = b"upkendra image manifest 1\0"

FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 44)]


class FileOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the release: name, bytes, SHA-256."""

    name: FileName
    size_bytes: Size
    sha256: Sha256


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a release's image is. ``boot_offset_bytes`` and
    ``boot_bytes``: where the FAT partition is that takes the provisioning file.
    """

    format: int
    board: Literal["rpi", "amd64"]
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~-]{0,39}$")]
    made_on: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    image: FileOf
    """As written to the card, unpacked."""
    packed: FileOf
    """As downloaded: the image in zstd, or the image itself."""
    bmap: FileOf
    boot_offset_bytes: Annotated[int, msgspec.Meta(ge=512, le=1 << 40, multiple_of=512)]
    boot_bytes: Size

    def __post_init__(self) -> None:
        if self.boot_offset_bytes + self.boot_bytes > self.image.size_bytes:
            raise ValueError("the boot partition lies outside of the image")


def encode(manifest: Manifest) -> bytes:
    """The JSON file."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def sign(private: bytes, content: bytes) -> bytes:
    """The signature file over a manifest's raw bytes. ``private``: raw Ed25519 key, 32 B."""
    return seal.sign(private, _CONTEXT + content).hex().encode() + b"\n"


def open_signed(content: bytes, signature: bytes, public: bytes) -> Manifest:
    """Check the signature, then read. ``public``: raw Ed25519 key, 32 B. Raises ImageRefused."""
    if len(content) > MANIFEST_MAX_BYTES:
        raise ImageRefused("The manifest is too large to be one of ours.", code="manifest_wrong")
    try:
        raw = bytes.fromhex(signature.decode("ascii").strip())
    except ValueError:
        raise ImageRefused("The signature file cannot be read. Download it again.", code="manifest_unsigned") from None
    if not seal.verify(public, _CONTEXT + content, raw):
        raise ImageRefused(
            "The manifest is not signed by this update key. Do not use these files; download them again from the hub.",
            code="manifest_unsigned",
        )
    try:
        found = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ImageRefused(f"The manifest cannot be read: {error}.", code="manifest_wrong") from None
    if found.format != FORMAT:
        raise ImageRefused("This image needs a newer flash tool.", code="manifest_format")
    return found


def parse_key(content: bytes) -> bytes:
    """A public key file: 64 hex digits. Raises BadInput."""
    try:
        raw = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise BadInput("An update key file holds 64 hex digits.", field="key", code="key_wrong")
    return raw


def os_list(manifest: Manifest, url: str) -> bytes:
    """An OS list for Raspberry Pi Imager (``rpi-imager --repo FILE``). ``url``: where the packed image can be had.

    Raises BadInput for another board, whose cards that program does not know.
    """
    if manifest.board != "rpi":
        raise BadInput("Raspberry Pi Imager writes images of board rpi only.", code="not_for_imager")
    entry = {
        "name": f"Upkendra {manifest.version}",
        "description": "Clinic node for a village health sub-centre",
        "icon": "",
        "url": url,
        "extract_size": manifest.image.size_bytes,
        "extract_sha256": manifest.image.sha256,
        "image_download_size": manifest.packed.size_bytes,
        "image_download_sha256": manifest.packed.sha256,
        "release_date": manifest.made_on,
        "init_format": "none",
        "devices": ["pi5-64bit", "pi4-64bit", "pi3-64bit"],
    }
    return msgspec.json.encode({"os_list": [entry]})
