"""GSM 03.40 PDUs as far as binary SMS need them: SUBMIT, DELIVER, STATUS-REPORT, ports, concatenation.

Bytes in, structs out, and the other way round; knows no modem and no clock. Source: 3GPP TS 23.040. Text messages
of other people are recognised, not decoded.
"""

import math
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from .sms import PART_BYTES, PARTS_MAX, SINGLE_BYTES

PORT = 16525
"""Of the range that 3GPP leaves to applications (16000-16999)."""
DCS_8BIT = 0x04
USER_DATA_MAX = 140
_DIGITS = "0123456789*#abc"
_INTERNATIONAL, _UNKNOWN, _ALPHANUMERIC = 0x91, 0x81, 0x50


class PduRefused(UpkendraError):
    """Not a PDU of a kind that can come here, or a number that is none."""

    code = "pdu_malformed"
    fault = Fault.CALLER


class Submit(Struct, frozen=True):
    """A message towards the network."""

    number: str
    """``+`` and digits, or a national number."""
    user_data: bytes
    """With its header, if ``header``."""
    header: bool = True
    reference: int = 0
    """TP-MR, mostly set by the modem itself."""
    validity_min: int = 24 * 60
    report: bool = False
    """Ask for a status report."""
    dcs: int = DCS_8BIT


class Deliver(Struct, frozen=True):
    """A message from the network."""

    number: str
    """Digits, perhaps with ``+``; "" for a sender that is a name."""
    user_data: bytes
    header: bool
    dcs: int
    sent_ms: int
    """Service centre's time, Unix ms; 0 when it is none."""


class StatusReport(Struct, frozen=True):
    """What became of a message that was submitted with ``report``."""

    reference: int
    number: str
    status: int
    """Below 32: done; below 64: still trying; else failed."""

    @property
    def delivered(self) -> bool:
        return self.status < 0x20

    @property
    def final(self) -> bool:
        return self.status < 0x20 or self.status >= 0x40


class Part(Struct, frozen=True):
    """One SMS of a message of ours."""

    port: int
    data: bytes
    reference: int = 0
    total: int = 1
    place: int = 1


# -- addresses and times ----------------------------------------------------------------------------


def check_number(number: str) -> str:
    """A number without spaces and dashes. Raises PduRefused."""
    plain = number.replace(" ", "").replace("-", "")
    digits = plain.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and 3 <= len(digits) <= 15):
        raise PduRefused("A telephone number has 3 to 15 digits, perhaps with + before them.", code="number_malformed")
    return plain


def _swapped(digits: str) -> bytes:
    if len(digits) % 2:
        digits += "F"
    return bytes(int(digits[at + 1] + digits[at], 16) for at in range(0, len(digits), 2))


def encode_address(number: str) -> bytes:
    """Length in digits, type, swapped digits."""
    digits = check_number(number).removeprefix("+")
    kind = _INTERNATIONAL if number.startswith("+") else _UNKNOWN
    return bytes((len(digits), kind)) + _swapped(digits)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise PduRefused("the PDU ends early")
        self._at += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def address(self) -> str:
        count = self.byte()
        if count > 20:
            raise PduRefused("an address of more than 20 digits")
        kind = self.byte()
        body = self.take((count + 1) // 2)
        if kind & 0x70 == _ALPHANUMERIC:
            return ""
        nibbles = [half for octet in body for half in (octet & 15, octet >> 4)][:count]
        if any(nibble >= len(_DIGITS) for nibble in nibbles):
            raise PduRefused("an address with a hole")
        digits = "".join(_DIGITS[nibble] for nibble in nibbles)
        return ("+" if kind & 0x70 == 0x10 and digits else "") + digits

    def user_data(self, dcs: int) -> bytes:
        length = self.byte()
        size = length if _is_octets(dcs) else math.ceil(length * 7 / 8)
        if size > USER_DATA_MAX:
            raise PduRefused("more user data than an SMS holds")
        return self.take(size)

    @property
    def rest(self) -> bytes:
        return self._data[self._at :]


def _is_octets(dcs: int) -> bool:
    if dcs & 0xC0 == 0:
        return dcs & 0x0C != 0
    if dcs & 0xF0 == 0xF0:
        return bool(dcs & 0x04)
    return dcs & 0xF0 == 0xE0


def encode_time(unix_ms: int) -> bytes:
    """TP-SCTS in UTC."""
    at = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return _swapped(at.strftime("%y%m%d%H%M%S") + "00")


def decode_time(stamp: bytes) -> int:
    """Unix ms; 0 for bytes that are no time."""
    halves = [(octet & 15) * 10 + (octet >> 4) for octet in stamp]
    zone = (stamp[6] & 7) * 10 + (stamp[6] >> 4)
    offset = timedelta(minutes=15 * (-zone if stamp[6] & 8 else zone))
    year, month, day, hour, minute, second = halves[:6]
    try:
        at = datetime(2000 + year, month, day, hour, minute, second, tzinfo=timezone(offset))
    except ValueError:
        return 0
    return int(at.timestamp() * 1000)


def encode_validity(minutes: int) -> int:
    """TP-VP relative, rounded up."""
    if minutes <= 720:
        return max(math.ceil(minutes / 5) - 1, 0)
    if minutes <= 1440:
        return 143 + math.ceil((minutes - 720) / 30)
    if minutes <= 30 * 1440:
        return 166 + math.ceil(minutes / 1440)
    return min(192 + math.ceil(minutes / 10_080), 255)


def decode_validity(value: int) -> int:
    """Minutes of a relative TP-VP."""
    if value <= 143:
        return (value + 1) * 5
    if value <= 167:
        return 720 + (value - 143) * 30
    if value <= 196:
        return (value - 166) * 1440
    return (value - 192) * 10_080


# -- PDUs -------------------------------------------------------------------------------------------


def encode_submit(message: Submit) -> bytes:
    """TPDU without the service centre's address; its length is what AT+CMGS wants to know."""
    if len(message.user_data) > USER_DATA_MAX or not _is_octets(message.dcs):
        raise PduRefused("more user data than an SMS holds, or not octets")
    first = 0x01 | 0x10 | (0x20 if message.report else 0) | (0x40 if message.header else 0)
    return (
        bytes((first, message.reference))
        + encode_address(message.number)
        + bytes((0, message.dcs, encode_validity(message.validity_min), len(message.user_data)))
        + message.user_data
    )


def decode_submit(tpdu: bytes) -> Submit:
    """The other way round, for whoever plays the network. Raises PduRefused."""
    reader = _Reader(tpdu)
    first = reader.byte()
    if first & 3 != 1:
        raise PduRefused("not a SUBMIT")
    reference, number = reader.byte(), reader.address()
    reader.byte()
    dcs = reader.byte()
    validity_min = 0
    match first >> 3 & 3:
        case 2:
            validity_min = decode_validity(reader.byte())
        case 1 | 3:
            reader.take(7)
    data = reader.user_data(dcs)
    return Submit(number, data, bool(first & 0x40), reference, validity_min, bool(first & 0x20), dcs)


def encode_deliver(message: Deliver) -> bytes:
    """TPDU as the network hands it over (only whoever plays the network needs it)."""
    first = 0x04 | (0x40 if message.header else 0)
    length = len(message.user_data) if _is_octets(message.dcs) else len(message.user_data) * 8 // 7
    return (
        bytes((first,))
        + encode_address(message.number)
        + bytes((0, message.dcs))
        + encode_time(message.sent_ms)
        + bytes((length,))
        + message.user_data
    )


def encode_report(report: StatusReport, at_ms: int) -> bytes:
    """A STATUS-REPORT TPDU."""
    stamp = encode_time(at_ms)
    return bytes((0x06, report.reference)) + encode_address(report.number) + stamp + stamp + bytes((report.status,))


def decode_incoming(pdu: bytes) -> Deliver | StatusReport:
    """A PDU as a modem gives it, service centre's address first. Raises PduRefused."""
    reader = _Reader(pdu)
    reader.take(reader.byte())
    first = reader.byte()
    match first & 3:
        case 0:
            number = reader.address()
            reader.byte()
            dcs = reader.byte()
            sent_ms = decode_time(reader.take(7))
            return Deliver(number, reader.user_data(dcs), bool(first & 0x40), dcs, sent_ms)
        case 2:
            reference, number = reader.byte(), reader.address()
            reader.take(14)
            return StatusReport(reference, number, reader.byte())
    raise PduRefused("neither DELIVER nor STATUS-REPORT")


# -- ours: port and concatenation -------------------------------------------------------------------


def split(message: bytes, reference: int, port: int = PORT) -> list[bytes]:
    """User data of each SMS of a sealed message. Raises PduRefused when it takes more than four."""
    ports = b"\x05\x04" + port.to_bytes(2, "big") * 2
    if len(message) <= SINGLE_BYTES:
        return [bytes((len(ports),)) + ports + message]
    total = math.ceil(len(message) / PART_BYTES)
    if total > PARTS_MAX:
        raise PduRefused("a message of more than four SMS", code="sms_too_long")
    head = bytes((len(ports) + 6,)) + ports + b"\x08\x04" + (reference & 0xFFFF).to_bytes(2, "big") + bytes((total,))
    return [
        head + bytes((place + 1,)) + message[place * PART_BYTES : (place + 1) * PART_BYTES] for place in range(total)
    ]


def part_of(message: Deliver, port: int = PORT) -> Part | None:
    """The part of a message of ours; None for anybody else's SMS. Never raises."""
    data = message.user_data
    if not message.header or not _is_octets(message.dcs) or not data or data[0] >= len(data):
        return None
    at, end = 1, data[0] + 1
    found, reference, total, place = -1, 0, 1, 1
    while at + 2 <= end:
        kind, value = data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
        if at > end:
            return None
        if kind == 5 and len(value) == 4:
            found = int.from_bytes(value[:2], "big")
        elif kind == 8 and len(value) == 4:
            reference, total, place = int.from_bytes(value[:2], "big"), value[2], value[3]
        elif kind == 0 and len(value) == 3:
            reference, total, place = value[0], value[1], value[2]
    if found != port or not 1 <= place <= total <= PARTS_MAX:
        return None
    return Part(port, data[end:], reference, total, place)


class _Partial(Struct):
    since_s: float
    pieces: dict[int, bytes]
    slots: dict[int, int]
    """Place → SIM slot, of the parts that still lie on the SIM."""
    stray: list[int]
    """Slots of parts that were contradicted."""


class Whole(Struct, frozen=True):
    """A complete message, and the SIM slots that hold its parts."""

    number: str
    message: bytes
    slots: tuple[int, ...]


class Reassembly:
    """Puts parts together. Bounded; parts lie on the SIM until their message is kept, as long as there is room."""

    def __init__(self, life_s: float = 24 * 3600.0, limit: int = 16) -> None:
        self._life_s = life_s
        self._limit = limit
        self._partial: dict[Hashable, _Partial] = {}
        self._done: dict[Hashable, bytes] = {}

    def add(self, number: str, part: Part, slot: int, now: float) -> Whole | None:
        """Take one part that lies in SIM slot ``slot``; the message when it is complete.

        A part that says something else than the one before it at the same place begins the message anew: whoever
        forges parts can delay a message, and the seal says so afterwards.
        """
        if part.total == 1:
            return Whole(number, part.data, (slot,))
        key = (number, part.reference, part.total)
        partial = self._partial.get(key)
        if partial is not None and partial.pieces.get(part.place, part.data) != part.data:
            partial.pieces.clear()
            partial.stray += partial.slots.values()
            partial.slots.clear()
        if partial is None:
            partial = self._partial[key] = _Partial(now, {}, {}, [])
        partial.pieces[part.place] = part.data
        partial.slots[part.place] = slot
        if len(partial.pieces) < part.total:
            return None
        del self._partial[key]
        message = b"".join(partial.pieces[at] for at in range(1, part.total + 1))
        self._done[key] = message
        if len(self._done) > self._limit:
            del self._done[next(iter(self._done))]
        return Whole(number, message, (*partial.slots.values(), *partial.stray))

    def has(self, number: str, part: Part) -> bool:
        """Whether this part is a double of one that is here, or of a message that was complete lately."""
        key = (number, part.reference, part.total)
        partial = self._partial.get(key)
        if partial is not None:
            return part.place in partial.slots and partial.pieces.get(part.place) == part.data
        done = self._done.get(key, b"")
        return done[(part.place - 1) * PART_BYTES : part.place * PART_BYTES] == part.data

    def give_way(self, now: float, *, crowded: bool = False) -> tuple[int, ...]:
        """SIM slots to be deleted: of what is too old or too much, and of the oldest message when the SIM is nearly
        full. That one's parts stay in memory: only a power cut now could lose them, and then it is sent again."""
        slots: list[int] = []
        for key in sorted(self._partial, key=lambda key: self._partial[key].since_s):
            partial = self._partial[key]
            if now - partial.since_s > self._life_s or len(self._partial) > self._limit:
                del self._partial[key]
            elif not crowded or slots:
                continue
            slots += [*partial.slots.values(), *partial.stray]
            partial.slots.clear()
            partial.stray.clear()
        return tuple(slots)

    def forget(self) -> None:
        """The SIM is listed anew: everything that lies there comes again."""
        for partial in self._partial.values():
            partial.slots.clear()
            partial.stray.clear()
        self._done.clear()

    def forget_done(self) -> None:
        """A complete message could not be kept: its parts are no doubles when they come again."""
        self._done.clear()
