"""What is held and what is missing: a cursor and a bitmap. Pure arithmetic on sequence numbers.

A :class:`Frontier` says which sequences of a log (or which message numbers) are held; :class:`Ranges`
says which byte ranges of one message are. Both are bounded whatever the other side claims.
"""

from bisect import bisect_left, bisect_right

from edge.model.errors import BadInput

SPAN = 65_536
"""Farthest number ahead of the cursor that is remembered."""


class Frontier:
    """A set of numbers from 1: all up to ``cursor``, and those whose bit is set beyond it."""

    __slots__ = ("_bits", "cursor")

    def __init__(self, cursor: int = 0) -> None:
        self.cursor = cursor
        self._bits = 0

    def has(self, number: int) -> bool:
        return number <= self.cursor or bool(self._bits >> (number - self.cursor - 1) & 1)

    def add(self, first: int, count: int = 1) -> bool:
        """Add ``count`` numbers from ``first``; False (and nothing added) beyond the span."""
        last = first + count - 1
        if first < 1 or count < 0 or last - self.cursor > SPAN:
            return False
        start = max(first, self.cursor + 1)
        if start <= last:
            self._bits |= ((1 << (last - start + 1)) - 1) << (start - self.cursor - 1)
        whole = (~self._bits & (self._bits + 1)).bit_length() - 1
        self._bits >>= whole
        self.cursor += whole
        return True

    @property
    def highest(self) -> int:
        return self.cursor + self._bits.bit_length()

    def missing_before(self, first: int) -> tuple[int, int] | None:
        """First and last number of the nearest hole below ``first``, or None without one."""
        last, known = first - 1, self._bits.bit_length()
        if last <= self.cursor:
            return None
        if last > self.cursor + known:  # however far: a sequence is what the other side says
            return self.cursor + known + 1, last
        zeros = ~self._bits & ((1 << (last - self.cursor)) - 1)
        hole = zeros.bit_length()
        if not hole:
            return None
        below = self._bits & ((1 << hole) - 1)
        return self.cursor + below.bit_length() + 1, self.cursor + hole

    def encode(self) -> bytes:
        """cursor8 ‖ bitmap, least significant bit of the first byte = cursor + 1."""
        return self.cursor.to_bytes(8, "big") + self._bits.to_bytes((self._bits.bit_length() + 7) // 8, "little")

    @classmethod
    def decode(cls, data: bytes) -> "Frontier":
        """Opposite of :meth:`encode`. Raises BadInput."""
        if not 8 <= len(data) <= 8 + SPAN // 8:
            raise BadInput("a frontier has a cursor of 8 bytes and a bounded bitmap")
        frontier = cls(int.from_bytes(data[:8], "big"))
        frontier._bits = int.from_bytes(data[8:], "little")
        frontier.add(frontier.cursor + 1, 0)
        return frontier


class Ranges:
    """Disjoint half-open byte ranges, kept sorted."""

    __slots__ = ("_spans",)

    def __init__(self, *spans: tuple[int, int]) -> None:
        self._spans: list[tuple[int, int]] = [span for span in spans if span[0] < span[1]]

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __len__(self) -> int:
        """How many spans."""
        return len(self._spans)

    @property
    def size(self) -> int:
        return sum(end - start for start, end in self._spans)

    def first(self) -> tuple[int, int]:
        return self._spans[0]

    def spans(self) -> list[tuple[int, int]]:
        return list(self._spans)

    def covers(self, start: int, end: int) -> bool:
        if start >= end:
            return True
        at = bisect_left(self._spans, end, key=_end)
        return at < len(self._spans) and self._spans[at][0] <= start

    def touches(self, start: int, end: int) -> bool:
        """Whether adding this makes no further span."""
        at = bisect_left(self._spans, start, key=_end)
        return at < len(self._spans) and self._spans[at][0] <= end

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        spans = self._spans
        low, high = bisect_left(spans, start, key=_end), bisect_right(spans, end, key=_begin)
        if low < high:
            start, end = min(start, spans[low][0]), max(end, spans[high - 1][1])
        spans[low:high] = [(start, end)]

    def remove(self, start: int, end: int) -> None:
        spans = self._spans
        low, high = bisect_right(spans, start, key=_end), bisect_left(spans, end, key=_begin)
        if start >= end or low >= high:
            return
        (first, _), (_, last) = spans[low], spans[high - 1]
        spans[low:high] = [span for span in ((first, start), (end, last)) if span[0] < span[1]]


def _begin(span: tuple[int, int]) -> int:
    return span[0]


def _end(span: tuple[int, int]) -> int:
    return span[1]
