"""Entries as a model sees them: msgpack values taken apart, each coded by where it stands.

A value's context is its path (kind of the entry, places in its arrays) and the scalar before it. Words of the
reference lists are numbers, ids are 10 bytes or a place among the recent ones, stamps are steps,
readings are decimals, text is coded by its last letters. What occurred at the same path is named, not spelled.
The start of every context comes from a shipped model (docs/protocol.md, section 4); nothing leans on an earlier
bundle. An entry that would not come back to the byte is coded as opaque bytes. Pure; knows no keys.
"""

import struct
import sys
from array import array
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import zstandard

from edge.model.clock import COUNTER_BITS, day_of
from edge.model.errors import Fault, UpkendraError
from edge.model.ids import ID_BYTES, id_bytes, make_id

from .log import SignedHead
from .rangecoder import SLOTS, Coder
from .values import (
    DEPTH_MAX,
    Value,
    alike,
    array_in,
    encode_value,
    fields_of,
    is_decimal,
    is_id,
    is_list,
    next_text,
    symbol_of,
    tail_of,
)

LENGTH_MAX = 1 << 20
RECENT_MAX = 64
WORD_BITS = 11
_GOLDEN = 0x9E3779B1
_PIECE_BYTES = 64
"""Even, so that long bytes are the same code in one piece or many; short, so that numbers stay small."""


class Malformed(UpkendraError):
    """Bytes that no writer of this format has made."""

    code = "payload_malformed"
    fault = Fault.CALLER


class Form(IntEnum):
    """How a value is coded."""

    SAME = 0
    """The last value at this path."""
    NIL = 1
    FALSE = 2
    TRUE = 3
    NUMBER = 4
    NEGATIVE = 5
    DAY = 6
    """The Indian calendar day of the entry's stamp."""
    TAIL = 7
    """The digits at the end of the last text that had some."""
    WHOLE = 8
    TENTHS = 9
    HUNDREDTHS = 10
    THOUSANDTHS = 11
    DOUBLE = 12
    WORD = 13
    NEXT_WORDS = 14
    """In a list: so many words, each the one that last followed here, or the next of the word list."""
    ID = 15
    KNOWN_ID = 16
    TEXT = 17
    KNOWN_TEXT = 18
    NEXT_TEXT = 19
    """The last text at this path, the number at its end one higher."""
    BYTES = 20
    NESTED = 21
    """Bytes that are a msgpack array."""
    STRUCT = 22
    LIST = 23
    """An array of nothing but words and texts, or of nothing but arrays."""


_DECIMALS: Final = ((Form.WHOLE, 1), (Form.TENTHS, 10), (Form.HUNDREDTHS, 100), (Form.THOUSANDTHS, 1000))
_CONSTANTS: Final[dict[int, Value]] = {Form.NIL: None, Form.FALSE: False, Form.TRUE: True}
_ARRAYS: Final = frozenset({Form.STRUCT, Form.LIST})


class Model:
    """What both sides know before the first bundle."""

    def __init__(self, words: Sequence[str], slots: "array[int]") -> None:
        """``words``: at most 2,048, in the order in which they follow each other in lists. Raises ValueError."""
        if not 0 < len(words) <= 1 << WORD_BITS or len(slots) != SLOTS:
            raise ValueError("a model has 1 to 2,048 words and a whole table")
        self.words = tuple(words)
        self.places = {word: place for place, word in enumerate(words)}
        self._slots = slots

    @classmethod
    def load(cls, file: bytes) -> "Model":
        """From a shipped file: words, each with a line feed, a zero byte, the slots (4 B each, little-endian)."""
        words, _, table = zstandard.decompress(file).partition(b"\0")
        slots = array("I", table)
        if sys.byteorder == "big":
            slots.byteswap()
        return cls(words.decode().split("\n")[:-1], slots)

    def file(self) -> bytes:
        """What :meth:`load` reads."""
        slots = self.slots()
        if sys.byteorder == "big":
            slots.byteswap()
        plain = "".join(f"{word}\n" for word in self.words).encode() + b"\0" + slots.tobytes()
        return zstandard.compress(plain, 19)

    def slots(self) -> "array[int]":
        """A copy of the starting chances, for one bundle."""
        return self._slots[:]


def _under(path: int, step: int) -> int:
    return (path * 31 + step + 1) * _GOLDEN & 0xFFFFFFFF


def _context(path: int, what: int, more: int = 0) -> int:
    return ((path ^ what * 0x85EBCA6B ^ more * 0xC2B2AE35) * _GOLDEN & 0xFFFFFFFF) >> 12


class Walk:
    """One bundle's entries, in one direction. Writing: each method is given the value; reading: it returns it."""

    def __init__(self, coder: Coder, model: Model, *, reading: bool) -> None:
        self._coder, self._model, self._reading = coder, model, reading
        self._last: dict[int, Value] = {}
        self._texts: dict[int, list[str]] = {}
        self._ids: list[str] = []
        self._followers: dict[tuple[int, int], int] = {}
        self._stamp = 0
        self._kind = 0
        self._tail = 0
        self._weight = 0
        self._weights: dict[int, int] = {}

    # Numbers.

    def number(self, context: int, value: int = 0) -> int:
        """Below 2^63: its length in bits, then the bits, the first ones by what was usual."""
        coder = self._coder
        length = coder.tree(context, 6, value.bit_length())
        if length < 2:
            return length
        rest = length - 1
        known = rest if rest <= 7 else 4
        head = coder.tree(context + length * 0x3779, known, value >> rest - known & (1 << known) - 1)
        below = rest - known
        return (1 << known | head) << below | coder.plain(below, value & (1 << below) - 1)

    # A payload.

    def payload(
        self,
        cls: int = 0,
        run: bytes = b"",
        stream: int = 0,
        first_seq: int = 0,
        entries: Sequence[bytes] = (),
        head: SignedHead | None = None,
    ) -> tuple[int, bytes, int, int, tuple[bytes, ...], SignedHead | None]:
        """The fields of a payload. Raises Malformed; the caller checks their ranges."""
        coder = self._coder
        if not self._reading and (len(run) != 8 or (head is not None and not _is_usual(head))):
            raise Malformed("not a payload that has this form")
        cls = coder.tree(_context(50, 0), 3, cls)
        stream = coder.tree(_context(51, 0), 8, stream)
        first_seq = self.number(_context(52, 0), first_seq)
        run = coder.plain(64, int.from_bytes(run, "big")).to_bytes(8, "big")
        count = self.number(_context(53, 0), len(entries))
        made: list[bytes] = []
        for place in range(count):
            made.append(self.entry(b"" if self._reading else entries[place]))
            self._weigh(1)
        signed = coder.tree(_context(54, cls), 1, head is not None)
        if signed:
            hashed = coder.plain(256, int.from_bytes(head.head, "big") if head else 0).to_bytes(32, "big")
            grade = "D" if coder.tree(_context(55, 0), 1, bool(head and head.grade == "D")) else "L"
            signature = coder.plain(512, int.from_bytes(head.signature, "big") if head else 0).to_bytes(64, "big")
            head = SignedHead(first_seq + count - 1, hashed, grade, signature)
        return cls, run, stream, first_seq, tuple(made), head

    # Entries.

    def entry(self, raw: bytes = b"") -> bytes:
        """The raw bytes of one entry."""
        coder = self._coder
        fields = None if self._reading else fields_of(raw)
        kind = coder.tree(_context(1, self._kind), 8, fields[0] if fields else 0)
        self._kind = kind
        if not kind:
            return self._bytes(_context(2, 0), raw)
        version, stamp, actor, payload = fields[1:] if fields else (0, 0, "", b"")
        version = self.number(_context(3, kind), version)
        stamp = self._step(kind, stamp)
        said = self.value(4, 0, 0, actor)
        root = _under(5, kind)
        held = self.value(root, 0, 0, payload)
        return raw or encode_value([kind, version, stamp, said, held])

    def _step(self, kind: int, stamp: int) -> int:
        """A stamp by its distance from the one before."""
        before = self._stamp
        later = (stamp >> COUNTER_BITS) - (before >> COUNTER_BITS)
        form = 2 if later < 0 or (later and stamp & 0xFFFF) else 1 if later else 0
        if form == 0 and stamp != before + 1:
            form = 2
        form = self._coder.tree(_context(6, kind), 2, form)
        if form == 0:
            stamp = before + 1
        elif form == 1:
            later = self.number(_context(7, bool(before)), later)
            stamp = (before >> COUNTER_BITS) + later << COUNTER_BITS
        else:
            stamp = self._coder.plain(64, stamp)
        if stamp >= 1 << 63:
            raise Malformed("a stamp beyond all time")
        self._stamp = stamp
        return stamp

    # Values.

    def value(self, path: int, before: int, depth: int, value: Value = None) -> Value:
        """Any value at ``path`` after a scalar of sort ``before``."""
        form = 0 if self._reading else self._form(path, value, depth)
        return self._keep(path, self._coded(path, before, form), before, depth, value)

    def _coded(self, path: int, before: int, form: int) -> int:
        """The form: first whether it is SAME, where there is something to be the same as."""
        if path in self._last and self._coder.tree(_context(path, 14, before), 1, form == Form.SAME):
            return Form.SAME
        return self._coder.tree(_context(path, 8, before), 5, form)

    def _keep(self, path: int, form: int, before: int, depth: int, value: Value) -> Value:
        """The body of a value, which is then the last one at its path."""
        began = self._weight
        self._weigh(1)
        value = self._body(form, path, before, depth, value)
        if form == Form.SAME:
            self._weigh(self._weights[path])
        elif isinstance(value, str):
            self._weigh(len(value))
        self._last[path] = value
        self._weights[path] = self._weight - began
        return value

    def _weigh(self, more: int) -> None:
        """Count what comes out, whatever it cost to say: a repeated array counts again."""
        self._weight += more
        if self._weight > LENGTH_MAX:
            raise Malformed("more than a bundle may hold", code="too_large")

    def _form(self, path: int, value: Value, depth: int) -> int:
        if path in self._last and alike(value, self._last[path]):
            return Form.SAME
        match value:
            case None:
                return Form.NIL
            case bool():
                return Form.TRUE if value else Form.FALSE
            case int():
                if value == day_of(self._stamp >> COUNTER_BITS):
                    return Form.DAY
                if value == self._tail and value:
                    return Form.TAIL
                return Form.NEGATIVE if value < 0 else Form.NUMBER
            case float():
                return next((form for form, scale in _DECIMALS if is_decimal(value, scale)), Form.DOUBLE)
            case str():
                return self._form_of_text(path, value)
            case bytes():
                return Form.NESTED if depth < DEPTH_MAX and array_in(value) is not None else Form.BYTES
            case _:
                return Form.LIST if depth and is_list(value) else Form.STRUCT

    def _form_of_text(self, path: int, text: str) -> int:
        if text in self._model.places:
            return Form.WORD
        if is_id(text):
            return Form.KNOWN_ID if text in self._ids else Form.ID
        known = self._texts.get(path)
        if known:
            if text == next_text(known[-1]):
                return Form.NEXT_TEXT
            if text in known:
                return Form.KNOWN_TEXT
        return Form.TEXT

    def _body(self, form: int, path: int, before: int, depth: int, value: Value) -> Value:
        if form == Form.SAME:
            if path not in self._last:
                raise Malformed("nothing came before")
            return self._last[path]
        if form in _CONSTANTS:
            return _CONSTANTS[form]
        if form <= Form.TAIL:
            return self._integer(form, path, before, value if isinstance(value, int) else 0)
        if form <= Form.DOUBLE:
            return self._float(form, path, before, value if isinstance(value, float) else 0.0)
        if form == Form.WORD:
            word = self._coder.tree(_context(path, 9, before), WORD_BITS, self._model.places.get(str(value), 0))
            if word >= len(self._model.words):
                raise Malformed("a word beyond the list")
            return self._model.words[word]
        if form <= Form.NEXT_TEXT and form != Form.NEXT_WORDS:
            return self._text(form, path, before, value if isinstance(value, str) else "")
        if form == Form.BYTES:
            return self._bytes(_context(path, 10), value if isinstance(value, bytes) else b"")
        if form == Form.NESTED and depth < DEPTH_MAX:
            held = array_in(value) if isinstance(value, bytes) else []
            inner = self._array(path, depth + 1, held or [], listed=False, before=0)
            return encode_value(inner) if self._reading else value
        if form in _ARRAYS and depth < DEPTH_MAX:
            return self._array(
                path, depth + 1, value if isinstance(value, list) else [], listed=form == Form.LIST, before=before
            )
        raise Malformed("a form of value that is none")

    def _integer(self, form: int, path: int, before: int, value: int) -> int:
        if form == Form.DAY:
            return day_of(self._stamp >> COUNTER_BITS)
        if form == Form.TAIL:
            return self._tail
        if form == Form.NEGATIVE:
            return -1 - self.number(_context(path, 11, before), -1 - value)
        return self.number(_context(path, 12, before), value)

    def _float(self, form: int, path: int, before: int, value: float) -> float:
        if form == Form.DOUBLE:
            bits = self._coder.plain(64, int.from_bytes(struct.pack(">d", value), "big"))
            double: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
            return double
        scale = int(10 ** (form - Form.WHOLE))
        return self.number(_context(path, 13 + form, before), round(value * scale) if value else 0) / scale

    def _bytes(self, context: int, value: bytes) -> bytes:
        length = self.number(context, len(value))
        self._weigh(length)
        pieces = []
        for start in range(0, length, _PIECE_BYTES):
            size = min(_PIECE_BYTES, length - start)
            piece = int.from_bytes(value[start : start + size], "big")
            pieces.append(self._coder.plain(8 * size, piece).to_bytes(size, "big"))
        return b"".join(pieces)

    # Text.

    def _text(self, form: int, path: int, before: int, text: str) -> str:
        if form == Form.ID:
            drawn = int.from_bytes(id_bytes(text), "big") if text else 0
            text = make_id(self._coder.plain(80, drawn).to_bytes(ID_BYTES, "big"))
            self._ids.append(text)
            del self._ids[:-RECENT_MAX]
            return text
        known = self._ids if form == Form.KNOWN_ID else self._texts.setdefault(path, [])
        if form in (Form.KNOWN_ID, Form.KNOWN_TEXT):
            back = self.number(_context(path, 30 + form), known[::-1].index(text) if text else 0)
            if back >= len(known):
                raise Malformed("further back than anything")
            text = known.pop(-1 - back)
        elif form == Form.NEXT_TEXT:
            if not known:
                raise Malformed("nothing came before")
            text = next_text(known[-1])
        else:
            text = self._letters(path, text)
        known.append(text)
        del known[:-RECENT_MAX]
        if form != Form.KNOWN_ID:
            self._tail = tail_of(text)
        return text

    def _letters(self, path: int, text: str) -> str:
        """Letter by letter: one byte for ASCII and Devanagari, 0 ends, 1 escapes."""
        coder = self._coder
        letters: list[str] = []
        one, two = 0, path & 0xFFFF
        at, ends = 0, len(text)
        while True:
            given = text[at] if at < ends else ""
            near, far = _context(one, 60), _context(two << 8 | one, 61)
            symbol = coder.pair(near, far, symbol_of(given))
            at += 1
            if symbol == 0:
                return "".join(letters)
            if symbol == 1:
                point = coder.plain(21, ord(given) if given else 0)
                if point > 0x10FFFF or 0xD800 <= point < 0xE000:
                    raise Malformed("no such character")
                letters.append(chr(point))
            else:
                letters.append(chr(symbol) if symbol < 0x80 else chr(0x880 + symbol))
            one, two = symbol, one

    # Arrays.

    def _array(self, path: int, depth: int, given: list[Value], *, listed: bool, before: int) -> list[Value]:
        length = self.number(_context(path, 40 + listed, before), len(given))
        if listed:
            return self._list(path, depth, given, length)
        values: list[Value] = []
        for place in range(length):
            one = self.value(_under(path, place), before, depth, given[place] if place < len(given) else None)
            values.append(one)
            before = self._sort(one)
        return values

    def _list(self, path: int, depth: int, given: list[Value], length: int) -> list[Value]:
        inside = _under(path, 99)
        values: list[Value] = []
        before = 0
        while len(values) < length:
            at = len(values)
            run = self._run(path, before, given, at) if given else 0
            form = Form.NEXT_WORDS if run else 0 if self._reading else self._form(inside, given[at], depth)
            form = self._coded(inside, before, form)
            if form == Form.NEXT_WORDS:
                run = self.number(_context(inside, 41), run - 1) + 1
                if at + run > length or before < 16:
                    raise Malformed("a run beyond its list")
                for _ in range(run):
                    before = self._follower(path, before)
                    values.append(self._model.words[before - 16])
                    self._weigh(1 + len(self._model.words[before - 16]))
                continue
            one = self._keep(inside, form, before, depth, given[at] if given else None)
            values.append(one)
            after = self._sort(one[0] if isinstance(one, list) and one else one)
            if before >= 16 and after >= 16:
                self._followers[path, before] = after
            before = after
        return values

    def _run(self, path: int, before: int, given: list[Value], at: int) -> int:
        """How many of the given words follow as they did before."""
        run = 0
        while before >= 16 and at + run < len(given):
            one = given[at + run]
            if not isinstance(one, str) or one != self._model.words[self._follower(path, before) - 16]:
                return run
            before = self._model.places[one] + 16
            run += 1
        return run

    def _follower(self, path: int, before: int) -> int:
        return self._followers.get((path, before)) or (before - 15) % len(self._model.words) + 16

    def _sort(self, value: Value) -> int:
        """What the next sibling may learn from a value: which word it is, else only what it is."""
        match value:
            case str():
                place = self._model.places.get(value)
                return 1 if place is None else place + 16
            case None | bool():
                return 2 if value is None else 3 + value
            case int() | float():
                return 5
            case _:
                return 6


def _is_usual(head: SignedHead) -> bool:
    return len(head.head) == 32 and len(head.signature) == 64 and head.grade in ("L", "D")
