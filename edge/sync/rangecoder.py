"""An adaptive binary range coder whose two directions share one model. Pure; integers only.

The coder of LZMA (carry propagated into the bytes that left) with 16-bit probabilities in a table of
slots that a context's hash points into. ``Writer`` codes the values it is given; ``Reader`` has the same methods,
ignores the value and returns what was coded, so that a model is written once for both directions. Every
decision is counted against a budget: hostile bytes cost bounded time. Past the end both see zeros.
"""

from array import array
from typing import Protocol

from edge.model.errors import Fault, UpkendraError

SLOT_BITS = 17
SLOTS = 1 << SLOT_BITS
NEW_SLOT = 1 << 15 << 8
"""A slot: probability of a 1 in 1/65,536, times 256, plus how often it was asked."""
COUNT_MAX = 30
_MASK = SLOTS - 1
_STEP = 0x9E35
"""Odd, so that the nodes of one tree lie apart."""
_TOP = 1 << 24
_FULL = 0xFFFFFFFF
_RATES = (*(2 * 65_536 // (2 * count + 3) for count in range(COUNT_MAX)), 65_536 // (COUNT_MAX + 2))


class WorkExceeded(UpkendraError):
    """More decisions than a bundle may cost."""

    code = "too_large"
    fault = Fault.CALLER


class Coder(Protocol):
    """What a model needs: the same calls in the same order write and read."""

    def tree(self, context: int, width: int, value: int) -> int:
        """A number below 2^width, bit by bit, each with a probability of its own in this context."""

    def pair(self, near: int, far: int, value: int) -> int:
        """A byte under two contexts at once; the one that knows more weighs more."""

    def plain(self, width: int, value: int) -> int:
        """``width`` bits that nothing is known about."""


class Writer:
    """Codes into bytes."""

    def __init__(self, slots: "array[int]", budget: int) -> None:
        """``slots`` are changed as it learns. Raises WorkExceeded after ``budget`` decisions."""
        self._slots, self._left = slots, budget
        self._low, self._range = 0, _FULL
        self._out = bytearray()

    def tree(self, context: int, width: int, value: int) -> int:
        """:meth:`Coder.tree`."""
        self._left -= width
        if self._left < 0:
            raise WorkExceeded("too much work for one bundle")
        slots, low, span = self._slots, self._low, self._range
        node = 1
        for shift in range(width - 1, -1, -1):
            at = (context + node * _STEP) & _MASK
            slot = slots[at]
            chance, count = slot >> 8, slot & 255
            bound = (span >> 16) * chance
            if value >> shift & 1:
                span = bound
                chance += (65_536 - chance) * _RATES[count] >> 16
                node += node + 1
            else:
                low += bound
                span -= bound
                chance -= chance * _RATES[count] >> 16
                node += node
            slots[at] = chance << 8 | (count if count == COUNT_MAX else count + 1)
            while span < _TOP:
                low = self._shift(low)
                span = span << 8
        self._low, self._range = low, span
        return value

    def pair(self, near: int, far: int, value: int) -> int:
        """:meth:`Coder.pair`."""
        self._left -= 8
        if self._left < 0:
            raise WorkExceeded("too much work for one bundle")
        slots, low, span = self._slots, self._low, self._range
        node = 1
        for shift in range(7, -1, -1):
            at, yonder = (near + node * _STEP) & _MASK, (far + node * _STEP) & _MASK
            slot, other = slots[at], slots[yonder]
            chance, count, chance2, count2 = slot >> 8, slot & 255, other >> 8, other & 255
            weight = 2 * count2
            bound = (span >> 16) * ((chance * (count + 1) + chance2 * weight) // (count + 1 + weight))
            if value >> shift & 1:
                span = bound
                chance += (65_536 - chance) * _RATES[count] >> 16
                chance2 += (65_536 - chance2) * _RATES[count2] >> 16
                node += node + 1
            else:
                low += bound
                span -= bound
                chance -= chance * _RATES[count] >> 16
                chance2 -= chance2 * _RATES[count2] >> 16
                node += node
            slots[at] = chance << 8 | (count if count == COUNT_MAX else count + 1)
            slots[yonder] = chance2 << 8 | (count2 if count2 == COUNT_MAX else count2 + 1)
            while span < _TOP:
                low = self._shift(low)
                span = span << 8
        self._low, self._range = low, span
        return value

    def plain(self, width: int, value: int) -> int:
        """:meth:`Coder.plain`."""
        rest = width
        while rest > 0:
            step = min(rest, 16)
            rest -= step
            self._left -= 1
            self._range >>= step
            self._low += (value >> rest & (1 << step) - 1) * self._range
            while self._range < _TOP:
                self._low = self._shift(self._low)
                self._range <<= 8
        if self._left < 0:
            raise WorkExceeded("too much work for one bundle")
        return value

    def _shift(self, low: int) -> int:
        out = self._out
        if low > _FULL:
            at = len(out) - 1
            while out[at] == 255:
                out[at] = 0
                at -= 1
            out[at] += 1
            low &= _FULL
        out.append(low >> 24)
        return low << 8 & _FULL

    def finish(self) -> bytes:
        """All bytes; zeros at the end are left away, the reader sees zeros there."""
        for bits in (24, 16, 8, 0):
            low = (self._low + (1 << bits) - 1) >> bits << bits
            if low < self._low + self._range:
                break
        for _ in range(4):
            low = self._shift(low)
        return bytes(self._out.rstrip(b"\0"))


class Reader:
    """Opposite of :class:`Writer`."""

    def __init__(self, data: bytes, slots: "array[int]", budget: int) -> None:
        """Raises WorkExceeded, later, after ``budget`` decisions."""
        self._slots, self._left = slots, budget
        self._data, self._at = data, 4
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._range = _FULL

    @property
    def rest(self) -> bytes:
        """What nothing was read from."""
        return self._data[self._at :]

    def tree(self, context: int, width: int, value: int = 0) -> int:
        """:meth:`Coder.tree`."""
        self._left -= width
        if self._left < 0:
            raise WorkExceeded("too much work for one bundle")
        slots, code, span = self._slots, self._code, self._range
        node = 1
        for _ in range(width):
            at = (context + node * _STEP) & _MASK
            slot = slots[at]
            chance, count = slot >> 8, slot & 255
            bound = (span >> 16) * chance
            if code < bound:
                span = bound
                chance += (65_536 - chance) * _RATES[count] >> 16
                node += node + 1
            else:
                code -= bound
                span -= bound
                chance -= chance * _RATES[count] >> 16
                node += node
            slots[at] = chance << 8 | (count if count == COUNT_MAX else count + 1)
            while span < _TOP:
                code = code << 8 | self._next()
                span = span << 8
        self._code, self._range = code, span
        return node - (1 << width)

    def pair(self, near: int, far: int, value: int = 0) -> int:
        """:meth:`Coder.pair`."""
        self._left -= 8
        if self._left < 0:
            raise WorkExceeded("too much work for one bundle")
        slots, code, span = self._slots, self._code, self._range
        node = 1
        while node < 256:
            at, yonder = (near + node * _STEP) & _MASK, (far + node * _STEP) & _MASK
            slot, other = slots[at], slots[yonder]
            chance, count, chance2, count2 = slot >> 8, slot & 255, other >> 8, other & 255
            weight = 2 * count2
            bound = (span >> 16) * ((chance * (count + 1) + chance2 * weight) // (count + 1 + weight))
            if code < bound:
                span = bound
                chance += (65_536 - chance) * _RATES[count] >> 16
                chance2 += (65_536 - chance2) * _RATES[count2] >> 16
                node += node + 1
            else:
                code -= bound
                span -= bound
                chance -= chance * _RATES[count] >> 16
                chance2 -= chance2 * _RATES[count2] >> 16
                node += node
            slots[at] = chance << 8 | (count if count == COUNT_MAX else count + 1)
            slots[yonder] = chance2 << 8 | (count2 if count2 == COUNT_MAX else count2 + 1)
            while span < _TOP:
                code = code << 8 | self._next()
                span = span << 8
        self._code, self._range = code, span
        return node - 256

    def plain(self, width: int, value: int = 0) -> int:
        """:meth:`Coder.plain`."""
        rest, value = width, 0
        while rest > 0:
            step = min(rest, 16)
            rest -= step
            self._left -= 1
            self._range >>= step
            piece = min(self._code // self._range, (1 << step) - 1)
            self._code -= piece * self._range
            value = value << step | piece
            while self._range < _TOP:
                self._code = self._code << 8 | self._next()
                self._range <<= 8
        if self._left < 0:
            raise WorkExceeded("too much work for one bundle")
        return value

    def _next(self) -> int:
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0
