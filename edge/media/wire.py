"""Where a call's datagrams leave webrtcbin: steers the handshake, counts everything, reads what became of packets.

Part of the WAN leg's knowledge of GStreamer. Its probes are called from GStreamer's threads.
"""

import threading
import time
from collections import deque
from typing import Any

from edge.media import rtp
from edge.media.estimate import PacketFeedback
from edge.media.handshake import Arriving, Flights, identity, is_handshake
from edge.media.ice import nominate_at_once
from edge.media.pipeline import bytes_of
from edge.media.repairs import Repairs

WIRE_OVERHEAD_BYTES = 38
"""IPv4 + UDP + SRTP tag, beside what the TWCC event counts."""
_BELOW_BYTES = 28
"""IPv4 + UDP."""
_SERVER_PATIENCE_MS = 1_500
"""For the answer of a STUN or TURN server. Checks have a patience of their own: 0.5 s once another has followed."""
_CHECK_EVERY_MS = 120
"""A browser checks 20 times a second until it has an answer, and libnice checks again with each of these: on a thin
link both ways were full of checks before the handshake began."""
_UNKNOWN_RTT_S = 0.5
_SAME_S = 0.05
"""Between the time that a report gives a packet and the moment when it leaves here."""


class Wire:
    """The last pad of one webrtcbin. Made before anything is asked of it."""

    def __init__(self, gst: Any, web: Any) -> None:
        self._gst = gst
        self.identity = identity()
        self.bytes_sent = 0
        """IP bytes of everything but connectivity checks."""
        self.handshake_s = 0.0
        """Between our half of the handshake and its end: about a round trip, the first that is known."""
        self.arriving = Arriving()
        self._flown_s = 0.0
        """When that half left (monotonic)."""
        self._open = False
        self._flights = Flights(self._emit_flight)
        self._pad: Any = None
        self._flying = threading.local()
        self._beside: deque[tuple[float, int]] = deque(maxlen=1_000)
        """What left and nobody reports, until the next packet that is reported: (monotonic, IP bytes)."""
        self._repairs = Repairs()
        self._sent_s = self._heard_s = 0.0
        """When the newest packet left that is reported, and that of which a report came (monotonic)."""
        self._answer_s = 0.0
        """The quickest report on a packet: about a round trip, known long before browsers tell theirs."""
        web.connect("deep-element-added", self._on_part)
        ice = web.get_property("ice-agent")
        if ice.__grefcount__ < 2:  # webrtcbin 1.22 leaves its reference floating, and Python has just taken it away
            ice._ref()
        agent = ice.get_property("agent")
        agent.set_property("stun-initial-timeout", _SERVER_PATIENCE_MS)
        agent.set_property("stun-pacing-timer", _CHECK_EVERY_MS)
        nominate_at_once(agent)

    def opened(self) -> None:
        """The leg is connected: what the handshake took stands in front of no packet of ours."""
        self._open = True
        self.handshake_s = time.monotonic() - self._flown_s if self._flown_s else 0.0
        self._beside.clear()

    def close(self) -> None:
        """Send nothing of a handshake any more."""
        self._flights.close()

    def may_repair(self, number: int, size_bytes: int, rtt_s: float, rate_bps: float) -> bool:
        """Whether a packet of the picture that the doctor's browser asks for is sent again."""
        if rate_bps <= 0:
            return False
        return self._repairs.allow(
            number, size_bytes, time.monotonic(), rtt_s or self._answer_s or _UNKNOWN_RTT_S, rate_bps
        )

    def repairs_bps(self, now_s: float) -> float:
        """IP bits per second that were sent again lately."""
        return self._repairs.bps(now_s)

    @property
    def idle(self) -> bool:
        """Whether a report has come of the newest packet that is reported."""
        return self._sent_s - self._heard_s < _SAME_S

    def fates(self, structure: Any) -> list[PacketFeedback]:
        """What a report of the doctor's browser (``RTPTWCCPackets``) says of our packets."""
        second = self._gst.Gst.SECOND
        packets = []
        for entry in structure.get_value("packets"):
            lost, sent_s = bool(entry.get_value("lost")), entry.get_value("local-ts") / second
            packets.append(
                PacketFeedback(
                    sent_s=sent_s,
                    arrived_s=None if lost else entry.get_value("remote-ts") / second,
                    size_bytes=entry.get_value("size") + WIRE_OVERHEAD_BYTES,
                    beside_bytes=self._beside_until(sent_s),
                )
            )
        arrived = [packet.sent_s for packet in packets if packet.arrived_s is not None]
        if arrived:
            self._heard_s = max(arrived)
            answer_s = max(time.monotonic() - self._heard_s, 0.0)
            self._answer_s = min(self._answer_s or answer_s, answer_s)
        return packets

    def _beside_until(self, sent_s: float) -> int:
        size_bytes = 0
        while self._beside and self._beside[0][0] <= sent_s:
            size_bytes += self._beside.popleft()[1]
        return size_bytes

    def _on_part(self, _web: object, _bin: object, part: Any) -> None:
        """webrtcbin has built something."""
        factory = part.get_factory()
        kind = factory.get_name() if factory is not None else ""
        if kind == "dtlssrtpdec":
            part.set_property("pem", self.identity.pem)
        elif kind == "nicesink":
            self._pad = part.get_static_pad("sink")
            self._pad.add_probe(self._gst.Gst.PadProbeType.BUFFER, self._on_datagram)

        elif kind == "nicesrc":
            part.get_static_pad("src").add_probe(self._gst.Gst.PadProbeType.BUFFER, self._on_arrival)

    def _on_arrival(self, _pad: object, info: Any) -> Any:
        """A datagram of the browser's, while the handshake runs."""
        results = self._gst.Gst.PadProbeReturn
        if self._open:
            return results.REMOVE
        buffer = info.get_buffer()
        if buffer is not None and is_handshake(bytes(buffer.extract_dup(0, 14))):
            self.arriving.note(buffer.get_size() + _BELOW_BYTES, time.monotonic())
        return results.OK

    def _on_datagram(self, _pad: object, info: Any) -> Any:
        results = self._gst.Gst.PadProbeReturn
        buffer = info.get_buffer()
        if buffer is None:
            return results.OK
        if not self._open and not getattr(self._flying, "now", False) and self._flights.take(bytes_of(buffer)):
            return results.DROP  # it comes back from there
        size_bytes = buffer.get_size() + _BELOW_BYTES
        self.bytes_sent += size_bytes
        if not rtp.is_reported(bytes(buffer.extract_dup(0, 2))):
            self._beside.append((time.monotonic(), size_bytes))
        else:
            self._sent_s = time.monotonic()
        return results.OK

    def _emit_flight(self, datagram: bytes) -> None:
        self._flown_s = self._flown_s or time.monotonic()
        self._flying.now = True
        try:
            self._pad.chain(self._gst.Gst.Buffer.new_wrapped(datagram))
        finally:
            self._flying.now = False
