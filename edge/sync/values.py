"""What msgpack values look like to :mod:`edge.sync.compact`, and which come back to the byte. Pure."""

import math
from typing import TypeAlias

import msgspec

from edge.model.ids import id_bytes

DEPTH_MAX = 12
"""Deeper values are opaque bytes."""
TAIL_DIGITS_MAX = 9

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | None"
encode_value = msgspec.msgpack.Encoder().encode


def fields_of(raw: bytes) -> tuple[int, int, int, str, bytes] | None:
    """The fields of an entry that comes back to the byte; None for any other bytes."""
    match array_in(raw):
        case [int() as kind, int() as version, int() as stamp, str() as actor, bytes() as payload]:
            if 0 < kind < 256 and 0 <= version < 1 << 32 and 0 <= stamp < 1 << 63:
                return kind, version, stamp, actor, payload
    return None


def array_in(raw: bytes) -> list[Value] | None:
    """The msgpack array that ``raw`` is, if encoding it again gives ``raw``."""
    if not raw or not (0x90 <= raw[0] <= 0x9F or raw[0] in (0xDC, 0xDD)):
        return None
    try:
        held = msgspec.msgpack.decode(raw)
        if not _plain(held, 0) or encode_value(held) != raw:
            return None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return list(held)


def _plain(value: object, depth: int) -> bool:
    """Whether nothing but scalars and arrays is in there."""
    if isinstance(value, list):
        return depth < DEPTH_MAX // 2 and all(_plain(one, depth + 1) for one in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 62) < value < 1 << 63
    return value is None or isinstance(value, bool | float | str | bytes)


def alike(one: Value, other: Value) -> bool:
    """Equal, and of the same type: 1 is not 1.0."""
    return type(one) is type(other) and one == other


def is_decimal(value: float, scale: int) -> bool:
    """Whether a float is a small decimal, ``scale`` 1, 10, 100 or 1000, that comes back from an integer."""
    if not 0.0 <= value < 1e12 or math.copysign(1.0, value) < 0:
        return False
    return round(value * scale) / scale == value


def is_list(value: list[Value]) -> bool:
    """Whether all are texts, or all are arrays."""
    return bool(value) and (all(isinstance(v, str) for v in value) or all(isinstance(v, list) for v in value))


def is_id(text: str) -> bool:
    """Whether a text is one of our ids."""
    if len(text) != 16:
        return False
    try:
        id_bytes(text)
    except ValueError:
        return False
    return True


def symbol_of(letter: str) -> int:
    """The byte of an ASCII or Devanagari letter; 0 for the end, 1 for any other."""
    if not letter:
        return 0
    point = ord(letter)
    if 1 < point < 0x80:
        return point
    return point - 0x880 if 0x900 <= point < 0x980 else 1


def digits_at_end(text: str) -> int:
    """How many, at most ``TAIL_DIGITS_MAX``."""
    count = 0
    while count < min(len(text), TAIL_DIGITS_MAX) and text[-1 - count] in "0123456789":
        count += 1
    return count


def next_text(text: str) -> str:
    """The text with the number at its end one higher; empty when it ends in none."""
    count = digits_at_end(text)
    if not count:
        return ""
    return text[:-count] + f"{(int(text[-count:]) + 1) % 10**count:0{count}d}"


def tail_of(text: str) -> int:
    """The number at the end of a text; 0 when it ends in none."""
    count = digits_at_end(text)
    return int(text[-count:]) if count else 0
