"""How a telephone number is proved: one-time codes, the pass of the day, and how often anybody may try. Pure.

Digits and keys are arguments; nothing here knows a store, a clock or whether a number has an account. All figures are
ours (unsourced - verify).
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
CODE_GUESSES: Final = 5
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


def code_of(random: bytes) -> str:
    """Six digits from 8 random bytes."""
    return f"{int.from_bytes(random[:8], 'big') % 1_000_000:06d}"


def pass_of(random: bytes) -> str:
    """Six letters from 6 random bytes: 30 bits."""
    return "".join(_LETTERS[byte & 31] for byte in random[:PASS_LETTERS])


def token_and_pass(text: str) -> tuple[str, str]:
    """What somebody typed as today's token: ``H-014-7K3M9Q`` in any case and with spaces; else ("", "")."""
    found = _TOKEN.fullmatch(re.sub(r"\s", "", text).upper())
    return (found[1], found[2]) if found else ("", "")


def limits_of_asking(pepper: bytes, number: str, address: str) -> tuple[Limit, ...]:
    """What asking for a code spends."""
    return (
        Limit(mac(pepper, "asked", number, address), HOUR_MS, 5),
        Limit(mac(pepper, "asked", number), DAY_MS, 20),
        Limit(mac(pepper, "asked address", address), HOUR_MS, 120),
        Limit(mac(pepper, "asked all"), HOUR_MS, 3_000),
    )


def limits_of_guessing(pepper: bytes, number: str, address: str) -> tuple[Limit, ...]:
    """What every proof spends before it is looked at; a good one is given back."""
    return (
        Limit(mac(pepper, "guessed address", address), HOUR_MS, 120),
        Limit(mac(pepper, "guessed", number), DAY_MS, 40),
    )


def limits_of_commands(pepper: bytes, account_id: str) -> tuple[Limit, ...]:
    """What one thing that is said spends."""
    return (Limit(mac(pepper, "command", account_id), HOUR_MS, 600),)


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
