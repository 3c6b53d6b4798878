"""How a telephone number is proved: one-time codes, the pass of the day, and how often anybody may try. Pure.

Digits and keys are arguments; nothing here knows a store, a clock or whether a number has an account. All figures are
ours (unsourced - verify). What a stranger does must not keep an owner out: nothing here closes a number or an address;
where many try, codes become longer and messages rarer.
"""

import contextlib
import hmac
import ipaddress
import re
from typing import Final

from msgspec import Struct

from edge.model.clock import day_of

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
CODE_LIFE_S: Final = 300
SHARED_LIFE_S: Final = 1800
"""Of the code that a number gets once its ordinary ones are used up: it is meant for whoever asks meanwhile."""
CODE_GUESSES: Final = 5
"""For a device that asked; a code is good at no other."""
SHORT_UNTIL: Final = 100
"""With so many codes of the hour that nobody has proved, new ones get eight digits: 500 guesses of a million."""
MIDDLE_UNTIL: Final = 20_000
"""The same for ten digits: 100,000 guesses of a hundred million."""
LONGEST: Final = 10
PRESSED_AT: Final = 3_000
"""Codes of an hour that nobody has proved: from here on each address has only what it has earned."""
DEVICE_MS: Final = 180 * DAY_MS
"""So long a device that proved a number has its own share of that number's codes."""
PASS_GUESSES: Final = 10
"""Wrong passes at one token."""
PASS_LETTERS: Final = 6
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SYNTHETIC: Final = re.compile(r"5550\d{6}")
_NUMBER: Final = re.compile(r"[6-9]\d{9}")
_TOKEN: Final = re.compile(rf"(H-\d{{3,5}})-([{_LETTERS}]{{{PASS_LETTERS}}})")


class Limit(Struct, frozen=True):
    """So often in one window of time."""

    key: bytes
    window_ms: int
    most: int
    weight: int = 1
    """What one try counts."""


def number_of(text: str) -> str:
    """The ten digits of an Indian mobile number as people write it; "" for anything else (forms.md §1)."""
    digits = re.sub(r"[\s().-]", "", text)
    for prefix in ("+91", "0091", "91", "0"):
        if digits.startswith(prefix) and len(digits) == 10 + len(prefix):
            digits = digits[len(prefix) :]
            break
    return digits if _NUMBER.fullmatch(digits) or _SYNTHETIC.fullmatch(digits) else ""


def network_of(address: str) -> str:
    """Whose tries are counted together: an IPv4 address, or the /64 that one subscriber of IPv6 has (RFC 6177)."""
    with contextlib.suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        if isinstance(parsed, ipaddress.IPv6Address):
            return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed.packed, 64), strict=False))
    return address


def is_synthetic(number: str) -> bool:
    """Whether a number cannot ring (messages.md §1)."""
    return _SYNTHETIC.fullmatch(number) is not None


def mark_of(now_ms: int) -> str:
    """Names an Indian day: what is said once a day carries it."""
    return str(day_of(now_ms))


def mac(pepper: bytes, *parts: str) -> bytes:
    """What the store holds in the place of a number, a code or a pass."""
    text = b"".join(len(part.encode()).to_bytes(2, "big") + part.encode() for part in parts)
    return hmac.digest(pepper, b"upk1 home" + text, "sha256")


def code_of(random: bytes, digits: int = 6) -> str:
    """So many digits from 8 random bytes."""
    return f"{int.from_bytes(random[:8], 'big') % 10**digits:0{digits}d}"


def digits_of(unproved: int) -> int:
    """How long a code is when so many of the hour wait to be proved, honest ones and a guesser's.

    All that can be guessed in an hour, over all numbers, hits with 1 in 2,000 by short codes and 1 in 1,000 by middle
    ones, however many addresses and numbers somebody has.
    """
    return 6 if unproved < SHORT_UNTIL else 8 if unproved < MIDDLE_UNTIL else LONGEST


def pass_of(random: bytes) -> str:
    """Six letters from 6 random bytes: 30 bits."""
    return "".join(_LETTERS[byte & 31] for byte in random[:PASS_LETTERS])


def token_and_pass(text: str) -> tuple[str, str]:
    """What somebody typed as today's token: ``H-014-7K3M9Q`` in any case and with spaces; else ("", "")."""
    found = _TOKEN.fullmatch(re.sub(r"\s", "", text).upper())
    return (found[1], found[2]) if found else ("", "")


def limit_of_all(pepper: bytes) -> Limit:
    """Codes of the hour that nobody has proved yet: each costs a message. Behind it only known devices are served."""
    return Limit(mac(pepper, "unproved all"), HOUR_MS, 30_000)


def limit_at(pepper: bytes, address: str, unproved: int, proved: int) -> Limit:
    """The same for one address, which thousands of telephones may share: it is bounded only while the hub is pressed.

    Who proves what was sent has it given back, and the address earns two more.
    """
    most = 300 + 2 * proved if unproved >= PRESSED_AT else 30_000
    return Limit(mac(pepper, "unproved at", address), HOUR_MS, most)


def limit_of_proofs(pepper: bytes, address: str) -> Limit:
    """Counts what was proved from an address; refuses nothing."""
    return Limit(mac(pepper, "proved at", address), HOUR_MS, 1 << 30)


def limits_of_number(pepper: bytes, number: str) -> tuple[Limit, ...]:
    """Ordinary codes of a number to devices that it does not know."""
    return (
        Limit(mac(pepper, "asked", number), HOUR_MS, 6),
        Limit(mac(pepper, "asked", number), DAY_MS, 20),
    )


def limits_of_device(pepper: bytes, number: str, device: str) -> tuple[Limit, ...]:
    """Codes of a number to a device that proved it before."""
    return (
        Limit(mac(pepper, "known", number, device), HOUR_MS, 10),
        Limit(mac(pepper, "known", number, device), DAY_MS, 40),
    )


def limits_of_guessing(pepper: bytes, address: str) -> tuple[Limit, ...]:
    """What a proof spends that no code of this device can be; a good one is given back."""
    return (Limit(mac(pepper, "guessed address", address), HOUR_MS, 120),)


def limits_of_commands(pepper: bytes, account_id: str) -> tuple[Limit, ...]:
    """What one thing that is said spends."""
    key = mac(pepper, "command", account_id)
    return (Limit(key, HOUR_MS, 600), Limit(key, DAY_MS, 2_000))


def limits_of_photos(pepper: bytes, account_id: str, size_bytes: int) -> tuple[Limit, ...]:
    """What a photo spends: bytes of a day."""
    return (Limit(mac(pepper, "photo bytes", account_id), DAY_MS, 24 << 20, size_bytes),)


def limits_of_visits(pepper: bytes, account_id: str) -> tuple[Limit, ...]:
    """What a visit spends."""
    return (Limit(mac(pepper, "visit", account_id), DAY_MS, 10),)


def limits_of_drawing(pepper: bytes, account_id: str) -> tuple[Limit, ...]:
    """What drawing a slip spends: it renders pages."""
    return (Limit(mac(pepper, "slip", account_id), HOUR_MS, 60),)


def limits_of_checking(pepper: bytes, address: str) -> tuple[Limit, ...]:
    """What checking a slip spends, which anybody may: it renders pages too."""
    return (
        Limit(mac(pepper, "check address", address), HOUR_MS, 60),
        Limit(mac(pepper, "check all"), HOUR_MS, 1_000),
    )
