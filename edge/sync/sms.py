"""SMS messages: sealing, and what fits into them (SEALING.md, line SMS; docs/protocol.md section 11).

Knows byte layouts, keys and budgets; knows no modem, no clock and no store. Whoever receives keeps ``boot ‖ ctr``
of every message for ever: that, not a window, is what stops replays. Device grade: nothing that comes this way
enters a log; it is an early copy, an answer, or a receipt.
"""

import hashlib
from collections.abc import Callable, Iterable
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Annotated, TypeAlias

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from msgspec import Meta, Struct

from .seal import COUNTER_LIMIT, SealRefused, hkdf, node_hint

VERSION = 1
BOOT_BYTES = 5
HEAD_BYTES = 12
OVERHEAD_BYTES = 28
SINGLE_BYTES = 133
"""User data of one SMS behind the port header."""
PART_BYTES = 127
"""The same behind port and 16-bit concatenation."""
PARTS_MAX = 4
VISIT_BYTES = 5
"""How much of a visit's id names it; the node is known from the seal."""
_PAD_MARK = b"\x80"


class SmsRefused(SealRefused):
    """Opened or built, but not a content that this release can take."""

    code = "sms_content"


class Way(StrEnum):
    """Direction; part of the key."""

    UP = "n2h"
    DOWN = "h2n"


class OpenedSms(Struct, frozen=True):
    """A message that was authentic."""

    name: bytes
    """boot5 ‖ ctr3."""
    content: bytes


@lru_cache(maxsize=4096)
def sms_key(psk: bytes, way: Way) -> bytes:
    """Key of one direction: HKDF(PSK, "sms" ‖ way), 32 B."""
    return hkdf(psk, b"sms" + way.value.encode())


def capacity_bytes(parts: int) -> int:
    """Content that fits into so many SMS, padding mark included."""
    return (SINGLE_BYTES if parts == 1 else PART_BYTES * parts) - OVERHEAD_BYTES


def parts_needed(content: bytes) -> int:
    """How many SMS a content takes. Raises SmsRefused(sms_too_long)."""
    for parts in range(1, PARTS_MAX + 1):
        if len(content) < capacity_bytes(parts):
            return parts
    raise SmsRefused("more than four SMS", code="sms_too_long")


class SmsSealer:
    """Seals one direction for one node. ``boot``: 5 random bytes drawn for this sealer; the counter lives in RAM."""

    def __init__(self, psk: bytes, node_id: bytes, way: Way, boot: bytes) -> None:
        if len(boot) != BOOT_BYTES:
            raise ValueError("boot has 5 bytes")
        self._aead = AESGCMSIV(sms_key(psk, way))
        self._hint = node_hint(node_id)
        self._boot = boot
        self._counter = 0

    def seal(self, content: bytes) -> tuple[bytes, bytes]:
        """(name, message). Content is padded to fill its SMS, which cost the same half empty."""
        if self._counter >= COUNTER_LIMIT:
            raise SealRefused("the boot's counter is used up", code="epoch_exhausted")
        plain = content + _PAD_MARK
        plain += bytes(capacity_bytes(parts_needed(content)) - len(plain))
        name = self._boot + self._counter.to_bytes(3, "big")
        self._counter += 1
        head = bytes((VERSION,)) + self._hint + name
        return name, head + self._aead.encrypt(name + bytes(4), plain, head)


def hint_of(message: bytes) -> bytes:
    """``hint3`` of a message, before anything is believed. Raises SealRefused."""
    if len(message) < OVERHEAD_BYTES or len(message) > PART_BYTES * PARTS_MAX:
        raise SealRefused("not an SMS of ours", code="sms_malformed")
    if message[0] != VERSION:
        raise SealRefused("an SMS of a version this release does not speak", code="sms_version")
    return message[1:4]


def open_sms(psk: bytes, way: Way, message: bytes) -> OpenedSms:
    """Open a message for one node. Raises SealRefused: sms_malformed, sms_version, sms_refused."""
    hint_of(message)
    head, name = message[:HEAD_BYTES], message[4:HEAD_BYTES]
    try:
        plain = AESGCMSIV(sms_key(psk, way)).decrypt(name + bytes(4), message[HEAD_BYTES:], head)
    except InvalidTag as error:
        raise SealRefused("the SMS does not open", code="sms_refused") from error
    content, mark, _ = plain.rpartition(_PAD_MARK)
    if not mark or plain.rstrip(b"\0") != content + mark:
        raise SmsRefused("the padding has no mark", code="sms_content")
    return OpenedSms(name, content)


# -- contents ---------------------------------------------------------------------------------------


class Advice(IntEnum):
    """What an answer says without words. Appended, never renumbered."""

    NONE = 0
    CALL_108 = 1
    REFER_NOW = 2
    REFER_TODAY = 3
    WAIT_FOR_CALL = 4
    """The doctor will call when the link is back."""
    SEEN = 5
    """A doctor has read it and sees no need to act at once."""


Prefix = Annotated[bytes, Meta(min_length=VISIT_BYTES, max_length=VISIT_BYTES)]
Small = Annotated[int, Meta(ge=0, le=65_535)]


class EarlyCopy(Struct, frozen=True, array_like=True, tag=1):
    """A visit in about a hundred bytes, ahead of its entries. Lists hold tags (:func:`tag_of`) of reference codes."""

    visit: Prefix
    emergency: bool
    token: Annotated[str, Meta(max_length=50)]
    age: Annotated[int, Meta(ge=0, le=1500)]
    """Counts ``age_unit``."""
    age_unit: Annotated[int, Meta(ge=0, le=4)]
    """0 days, 1 weeks, 2 months, 3 years, 4 unknown."""
    sex: Annotated[int, Meta(ge=0, le=3)]
    """0 female, 1 male, 2 other, 3 unknown."""
    colour: Annotated[int, Meta(ge=0, le=3)]
    """0 not triaged, 1 green, 2 yellow, 3 red."""
    complaints: tuple[tuple[Small, Small, Annotated[int, Meta(ge=0, le=5)]], ...] = ()
    """(tag, duration, unit); unit 0 none, 1 hours, 2 days, 3 weeks, 4 months, 5 years."""
    vitals: dict[Small, Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]] = {}
    """Number in ``VITALS`` → value × scale; a number this release does not know is shown as such."""
    avpu: Annotated[int, Meta(ge=0, le=5)] = 0
    """0 not looked at, else 1 + place in ``ACVPU``."""
    signs: tuple[Small, ...] = ()
    """Danger signs that are present."""
    flags: Annotated[int, Meta(ge=0, le=255)] = 0
    """1 pregnant, 2 post partum, 4 on oxygen, 8 allergies named, 16 no known allergies, 32 something was left out."""
    at_min: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    """Minutes since 1970 when it was written; 0 when the node's clock is not trusted."""
    note: Annotated[str, Meta(max_length=200)] = ""


class Answer(Struct, frozen=True, array_like=True, tag=16):
    """A doctor's answer to an early copy. It informs; the record is what comes by the entries."""

    visit: Prefix
    advice: Annotated[int, Meta(ge=0, le=255)]
    """:class:`Advice`; an unknown number is shown as "read the text"."""
    text: Annotated[str, Meta(max_length=200)] = ""
    doctor: Annotated[str, Meta(max_length=80)] = ""


class PrescriptionNotice(Struct, frozen=True, array_like=True, tag=17):
    """A prescription is signed and on its way; nothing is given out on this alone."""

    visit: Prefix
    prescription: Annotated[bytes, Meta(min_length=10, max_length=10)]
    digest: Annotated[bytes, Meta(min_length=16, max_length=16)]
    """First half of SHA-256 of the signed prescription's bytes."""


class Receipt(Struct, frozen=True, array_like=True, tag=32):
    """These messages are stored durably here."""

    names: Annotated[tuple[Annotated[bytes, Meta(min_length=8, max_length=8)], ...], Meta(max_length=10)]


Content: TypeAlias = EarlyCopy | Answer | PrescriptionNotice | Receipt
UP_KINDS = (EarlyCopy, Receipt)
DOWN_KINDS = (Answer, PrescriptionNotice, Receipt)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Content)


def encode(content: Content) -> bytes:
    """Content as msgpack, an array that begins with its kind."""
    return _encoder.encode(content)


def decode(raw: bytes, way: Way) -> Content:
    """The content of an opened message. Raises SmsRefused(sms_content) for anything else, other ways' kinds too."""
    try:
        content = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SmsRefused("not a content that this release knows", code="sms_content") from error
    if not isinstance(content, UP_KINDS if way is Way.UP else DOWN_KINDS):
        raise SmsRefused("this kind does not go this way", code="sms_content")
    return content


def tag_of(code: str, of: str) -> int:
    """Two bytes that stand for a code of the reference in any release that has it; ``of``: complaint or sign."""
    return int.from_bytes(hashlib.sha256(f"upk1 sms {of} {code}".encode()).digest()[:2], "big")


# -- budget -----------------------------------------------------------------------------------------


class SmsBudget(Struct, frozen=True):
    """How many SMS may leave, and what one costs."""

    per_hour: int = 20
    per_day: int = 60
    reserve: int = 10
    """Of the day's number, so many are kept for emergencies; as many of the hour's, a quarter of them at most."""
    cost_paise: int = 0
    """Price of one SMS in hundredths of a rupee, for the counter only."""

    def allows(self, last_hour: int, last_day: int, parts: int, *, emergency: bool) -> bool:
        """Whether ``parts`` more SMS may leave after ``last_hour`` and ``last_day`` of them."""
        kept = 0 if emergency else self.reserve
        hour = self.per_hour - min(kept, self.per_hour // 4)
        return last_hour + parts <= hour and last_day + parts <= self.per_day - kept


class Ledger:
    """The SMS of the last day, against a budget. Wall time is an argument; keep ``times_ms`` over a restart."""

    def __init__(
        self, budget: SmsBudget, times_ms: Iterable[int] = (), on_spend: Callable[[int], None] | None = None
    ) -> None:
        """``on_spend`` is told of each SMS, to keep its time."""
        self.budget = budget
        self._on_spend = on_spend
        self._times_ms = sorted(times_ms)

    def restore(self, times_ms: Iterable[int]) -> None:
        """Take over what an earlier process spent."""
        self._times_ms = sorted([*self._times_ms, *times_ms])

    def allows(self, parts: int, now_ms: int, *, emergency: bool) -> bool:
        """Whether so many more may leave now."""
        return self.budget.allows(self.last_hour(now_ms), self.last_day(now_ms), parts, emergency=emergency)

    def spend(self, now_ms: int) -> None:
        """One SMS was handed to the network, or perhaps was."""
        self._times_ms = [*(at for at in self._times_ms if now_ms - at < 86_400_000), now_ms]
        if self._on_spend is not None:
            self._on_spend(now_ms)

    def last_hour(self, now_ms: int) -> int:
        """A clock that was set back makes this count too many, never too few."""
        return sum(now_ms - at < 3_600_000 for at in self._times_ms)

    def last_day(self, now_ms: int) -> int:
        return sum(now_ms - at < 86_400_000 for at in self._times_ms)

    def cost_paise(self, now_ms: int) -> int:
        """What the last day's SMS cost."""
        return self.last_day(now_ms) * self.budget.cost_paise
