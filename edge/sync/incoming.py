"""What came from the other side: fragments put together, packets to acknowledge. Without I/O.

Belongs to one process of the other side; the node keeps one for each hub salt, so that a late packet
of a hub that has died confuses nothing.
"""

from typing import NamedTuple

from . import frames as fr
from .congestion import ACK_DELAY_MAX_S
from .frontier import SPAN, Frontier, Ranges

RIDE_S = 0.04
"""An ACK waits this long for the STORED of what it completes: less than what a tail probe allows it."""
BULK_ACK_S = 0.1
"""So long an ACK of bulk waits for a second packet, unless the last one shows that none will come in time."""
SLOW_BULK_S = 1.0
"""On a slow line packets of bulk come at least ``BULK_ACK_S`` and less than this apart."""
PARTIAL_MAX_BYTES = 2 << 20
"""Memory for messages that are not whole yet, for each session."""
PARTIAL_SPANS_MAX = 1_024
"""Pieces of a message that do not touch; 300 kB are 260 full packets. What would make more waits for its neighbours."""
_BITMAP_BITS = 8 * fr.ACK_BITMAP_MAX_BYTES
_EPSILON_S = 1e-6


class Arrived(NamedTuple):
    """A whole message from the other side."""

    kind: int
    body: bytes
    base: int
    number: int
    """Its name in this session."""


class _Partial:
    __slots__ = ("buffer", "held")

    def __init__(self, total: int) -> None:
        self.buffer = bytearray(total)
        self.held = Ranges()


class Incoming:
    """Received fragments and packet counters of one sender."""

    def __init__(self, salt2: bytes = bytes(2)) -> None:
        """``salt2`` stands in the acknowledgements (node → hub: of the salt; hub → node: zeros)."""
        self.arrived: list[Arrived] = []
        """Whole messages; the endpoint takes them out."""
        self.ack_s: float | None = None
        """When an ACK has to leave by itself."""
        self.asked = False
        """The sender of an unfinished message was asked where the rest is, and nothing more of it came since."""
        self.repeated = False
        """A piece of a message came that was whole before: its sender misses an answer."""
        self._salt2 = salt2
        self._high = -1
        self._bits = 0
        self._high_s = 0.0
        self._bulk = 0
        self._bulk_s = float("-inf")
        self._ack_news = False
        self._partials: dict[int, _Partial] = {}
        self._partial_bytes = 0
        self._done = Frontier()

    @property
    def unfinished(self) -> bool:
        """Whether a message has come in part."""
        return bool(self._partials)

    def take(self, frag: fr.Frag) -> bool:
        """A fragment of the other side; False when there is no room, then the packet must not be acknowledged."""
        if self._done.has(frag.message):
            self.repeated = True
            return True
        partial = self._partials.get(frag.message)
        if partial is None:
            if self._partial_bytes + frag.total > PARTIAL_MAX_BYTES or frag.message > self._done.cursor + SPAN:
                return False
            partial = self._partials[frag.message] = _Partial(frag.total)
            self._partial_bytes += frag.total
        if len(partial.buffer) != frag.total:
            return False
        end = frag.offset + len(frag.data)
        if len(partial.held) >= PARTIAL_SPANS_MAX and not partial.held.touches(frag.offset, end):
            return False
        self.asked = False
        partial.buffer[frag.offset : end] = frag.data
        partial.held.add(frag.offset, end)
        if partial.held.covers(0, frag.total):
            del self._partials[frag.message]
            self._partial_bytes -= frag.total
            self._done.add(frag.message)
            self.arrived.append(Arrived(frag.kind, bytes(partial.buffer), frag.base, frag.message))
        return True

    def received(self, counter: int, frames: list[fr.Frame], now: float) -> None:
        """Note a packet whose frames were all taken; decides when its ACK leaves."""
        gap = counter != self._high + 1
        if counter > self._high:
            self._bits = (self._bits << min(counter - self._high, _BITMAP_BITS + 1) | 1) & ((2 << _BITMAP_BITS) - 1)
            self._high = counter
            self._high_s = now
        elif self._high - counter <= _BITMAP_BITS:
            self._bits |= 1 << (self._high - counter)
        asking = [frame for frame in frames if fr.eliciting(frame)]
        self._ack_news = self._ack_news or bool(asking)
        delays = [self._ack_delay_s(frame) for frame in asking if not fr.in_passing(frame)]
        if not delays:
            # An ACK of an ACK would ride in every packet of bulk.
            return
        delay_s = min(delays)
        if delay_s == BULK_ACK_S:
            self._bulk += 1
            slow = BULK_ACK_S <= now - self._bulk_s < SLOW_BULK_S and not self._completes(frames)
            self._bulk_s = now
            if self._bulk >= 2 or gap or slow:
                delay_s = 0.0
        due_s = now + delay_s
        self.ack_s = due_s if self.ack_s is None else min(self.ack_s, due_s)

    def _completes(self, frames: list[fr.Frame]) -> bool:
        """Whether a message became whole, so that a STORED will soon leave."""
        return any(isinstance(frame, fr.Frag) and frame.message not in self._partials for frame in frames)

    def _ack_delay_s(self, frame: fr.Frame) -> float:
        if isinstance(frame, fr.Frag):
            if frame.cls > 1:
                return BULK_ACK_S
            return RIDE_S if frame.message not in self._partials else 0.0
        return 0.0 if isinstance(frame, fr.Probe | fr.Open) else ACK_DELAY_MAX_S

    def missed(self, frames: list[fr.Frame]) -> bool:
        """Whether the sender of these frames, all taken, has shown that it may have missed an answer."""
        repeated, self.repeated = self.repeated, False
        return repeated or any(isinstance(frame, fr.Probe) for frame in frames)

    def rides(self, now: float) -> bool:
        """Whether an ACK waits a moment for what may leave with it."""
        return self.ack_s is not None and now + _EPSILON_S < self.ack_s <= now + RIDE_S + _EPSILON_S

    def ack(self, now: float, *, again: bool = False) -> fr.Ack | None:
        """The ACK that may ride in a packet leaving now, if there is news; ``again``: in any case."""
        if not (self._ack_news or again) or self._high < 0:
            return None
        bits = self._bits >> 1
        bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        delay_ms = min(int((now - self._high_s) * 1000), 65_535)
        return fr.Ack(self._salt2, self._high, delay_ms, bitmap)

    def ack_due(self, now: float) -> bool:
        return self.ack_s is not None and self.ack_s <= now + _EPSILON_S

    def ack_left(self) -> None:
        """The ACK is on its way."""
        self.ack_s = None
        self._ack_news = False
        self._bulk = 0
