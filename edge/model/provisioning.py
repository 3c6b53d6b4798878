"""The one file that a technician puts on a card: which hub, and how the clinic's network is to be.

``upkendra.json`` on the card's first FAT partition, read once at the first boot and wiped. It holds a one-time
enrolment token and the Wi-Fi key, no other secret: the device makes its own keys. Pure.
"""

import re
from typing import Annotated, Final, Literal

import msgspec

from .errors import BadInput

FILE_NAME = "upkendra.json"
FILE_MAX_BYTES = 8 * 1024
FORMAT = 1

SSID_MAX_BYTES = 32
"""IEEE 802.11: an SSID has at most 32 octets."""

HubUrl = Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.\-\[\]:]{1,253}/?$(?!\n)", max_length=280)]
Passphrase = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{8,63}$(?!\n)")]
"""WPA2 and WPA3: 8 to 63 printable ASCII characters."""
Apn = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.\-]{1,100}$(?!\n)")]
"""3GPP TS 23.003 section 9.1: labels of letters, digits and hyphens, at most 100 octets."""
SetupCode = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8}$(?!\n)")]
TimeZone = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]+(/[A-Za-z0-9_+\-]+){0,2}$(?!\n)", max_length=60)]
TIME_ZONE = "Asia/Kolkata"
"""The only one. A day of tokens, slips, registers and reports is India's wherever it is counted (:mod:`.clock`): a
machine with another one would write other days into its journal than its clinic lives in."""


class Wifi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The access point that the node is for its tablets."""

    ssid: Annotated[str, msgspec.Meta(min_length=1)]
    passphrase: Passphrase

    def __repr__(self) -> str:
        return f"Wifi({self.ssid!r})"


class Provisioning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a card needs before its first boot."""

    format: int
    hub: HubUrl
    token: Annotated[str, msgspec.Meta(pattern=r"^UPK1-[A-Z0-9\-]{8,200}$(?!\n)")]
    setup_code: SetupCode
    """What the technician types at the tablet to set the node up: who is in its Wi-Fi first is nobody yet."""
    wifi: Wifi
    apns: Annotated[tuple[Apn, ...], msgspec.Meta(max_length=2)] = ()
    """Access point names of the SIM cards, in the order of the slots."""
    language: Literal["hi", "en"] = "hi"
    time_zone: TimeZone = TIME_ZONE

    def __repr__(self) -> str:
        return f"Provisioning({self.hub})"


def parse(content: bytes) -> Provisioning:
    """The file's content, checked. Raises BadInput, naming the field."""
    if len(content) > FILE_MAX_BYTES:
        raise BadInput(f"A provisioning file has at most {FILE_MAX_BYTES} bytes.", code="provision_too_large")
    try:
        found = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=Provisioning)
    except msgspec.MsgspecError as error:
        raise BadInput(f"The provisioning file: {_safe(str(error))}.", code="provision_wrong") from None
    check(found)
    return found


def check(found: Provisioning) -> None:
    """What the types cannot say. Raises BadInput."""
    if found.format != FORMAT:
        raise BadInput("This provisioning file is of another release. Make it anew.", code="provision_format")
    check_time_zone(found.time_zone)
    size_bytes = len(found.wifi.ssid.encode())
    if size_bytes > SSID_MAX_BYTES or not found.wifi.ssid.isprintable():
        raise BadInput(
            f"A Wi-Fi name has at most {SSID_MAX_BYTES} bytes (a Devanagari letter is 3) and no control characters.",
            field="wifi.ssid",
            code="provision_wrong",
        )


def check_time_zone(name: str) -> None:
    """Raises BadInput for any but India's."""
    if name != TIME_ZONE:
        raise BadInput(
            f"A clinic's day is India's: time_zone can only be {TIME_ZONE}.",
            field="time_zone",
            code="provision_time_zone",
        )


def encode(provisioning: Provisioning) -> bytes:
    """The file. Raises BadInput like :func:`parse`."""
    content = msgspec.json.format(msgspec.json.encode(provisioning), indent=2) + b"\n"
    parse(content)
    return content


_WORDS: Final = {
    "$.hub": "the hub's address is like https://hub.example.org, without anything behind it",
    "$.token": "the site token begins with UPK1- and has capital letters, digits and hyphens",
    "$.setup_code": "the set-up code has eight digits",
    "$.wifi.ssid": "the Wi-Fi needs a name",
    "$.wifi.passphrase": "the Wi-Fi key has 8 to 63 letters, digits and signs of an English keyboard",
    "$.apns": "there are at most two access point names, one for each SIM card",
    "$.apns[]": "an access point name has letters, digits, dots and hyphens only",
    "$.language": "the language is hi or en",
    "$.time_zone": f"the time zone is {TIME_ZONE}",
}


def _safe(message: str) -> str:
    """Words for the field that is wrong. msgspec names it and what it wants, never the value."""
    place = re.search(r"at `([^`]+)`$", message)
    words = (
        _WORDS.get(re.sub(r"\d+", "", place[1]))
        if place and "missing" not in message and "unknown" not in message
        else None
    )
    return f"{words} ({place[1].removeprefix('$.')})" if words and place else message.rstrip(".")
