"""Selective repeat over packets that may be lost, doubled or late. Without I/O; time is an argument.

Cuts messages into fragments when a packet departs, remembers what each packet carried, and puts back
what was lost. Every retransmission is a new packet with a new counter. Knows frames, no keys and no paths:
the endpoint seals what :meth:`Arq.next_frames` returns and tells :meth:`Arq.on_sent` its counter.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from . import frames as fr
from .congestion import FIRST_TIMEOUT_S, DelayAimd
from .frontier import Ranges
from .incoming import Incoming
from .outage import Outage
from .outbox import COPY_AFTER_S, Message, SendQueue
from .pace import LIMITED_CLS_MIN, Pace

ASK_STORED_S = 1.0
"""After so long (and one and a half round trips) it is asked whether it is durable: the answer may be lost."""
REORDER_PACKETS = 3
URGENT_CLS_MAX = 1
"""Classes up to this one do not wait for the timeout when the last packet was lost."""
TAIL_PROBES_MAX = 4
"""Packets sent again unasked between two signs of life: a cut link gets no more."""
ASK_AFTER_S = 1.0
"""A message that stops half-way for so long (and one and a half round trips) is asked for, once."""
_SMALLEST_PIECE = 48
_SENT_MEMORY_S = 60.0
_LATE_MAX = 512
_TOLD_MAX = 512
_EPSILON_S = 1e-6
_BITMAP_BITS = 8 * fr.ACK_BITMAP_MAX_BYTES


class _Sent(Struct, eq=False):
    time: float
    size: int
    frames: tuple[fr.Frame, ...]
    urgent: bool
    """Whether a tail probe sends it again."""
    probed: bool = False
    """Its urgent content has left again in another packet."""


class Arq:
    """One session's transport at one end."""

    def __init__(self, congestion: DelayAimd, now: float, *, probes: bool) -> None:
        """``probes``: go on probing through a long outage (the node does, the hub rests)."""
        self.congestion = congestion
        self.queue = SendQueue()
        self.incoming = Incoming()
        """What came from the other side's present process; the node keeps one for each."""
        self.signals_open = not probes
        """Whether SIGNAL may leave: the node needs a fresh hub nonce."""
        self.signal_nonce = 0
        self.timeouts = 0
        """Timeouts in a row; 2 or more is an outage."""
        self.last_eliciting_s = now
        self.silent_since_s: float | None = None
        """When the first packet left since the other side was last heard."""
        self.unanswered = 0
        """Packets that asked for an answer since then."""
        self.heard_s = now
        """When the other side was last heard."""
        self.signal_acked_s: float | None = None
        """When the other side last said that it holds a signal."""
        self.pace = Pace(now)
        self._outage = Outage(now, patient=probes)
        self._numbers = 0
        self._by_number: dict[int, Message] = {}
        self._complete: dict[bytes, Message] = {}
        self._led: set[fr.Frame] = set()
        self._controls: list[fr.Frame] = []
        self._sent: dict[int, _Sent] = {}
        self._late: dict[int, _Sent] = {}
        """Packets that were called lost. What is acknowledged of them all the same is not sent again."""
        self._told: dict[int, _Sent] = {}
        """Packets that only said that something is durable: their ACK comes in passing, no timer waits for it."""
        self._largest_acked = -1
        self._base_s: float | None = None
        self._loss_s: float | None = None
        self._allowance = 0
        self._tail = False
        self._tail_probes = 0

    # What the application wants sent.

    def send(self, kind: int, cls: int, body: bytes, key: bytes, now: float, lead: fr.Frame | None = None) -> None:
        """Queue a message; one with the same key is sent once. ``lead`` leaves before it, once for all alike."""
        if self.queue.find(key) is None:
            self._numbers += 1
            message = Message.new(self._numbers, kind, cls, body, key, now)
            message.lead = lead
            self.queue.add(message)
            self._by_number[message.number] = message

    def finish(self, key: bytes) -> bool:
        """The message is durable there, or given up. False when it is not known."""
        message = self.queue.discard(key)
        if message is not None:
            self._by_number.pop(message.number, None)
            self._complete.pop(key, None)
        return message is not None

    def control(self, frame: fr.Frame) -> None:
        """Queue a small frame; it leaves at once and is repeated when lost (but PROBE, TIME and PATH are not)."""
        if isinstance(frame, fr.StoredHere):
            for place, other in enumerate(self._controls):
                joined = other.join(frame) if isinstance(other, fr.StoredHere) else None
                if joined is not None:
                    self._controls[place] = joined
                    return
        if frame not in self._controls:
            self._controls.append(frame)

    def bundles_of(self, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """Names of the unfinished bundles that left under these message numbers."""
        return [
            message.key
            for number, message in self._by_number.items()
            if message.kind == fr.KIND_BUNDLE and any(first <= number <= last for first, last in spans)
        ]

    def tell_again(self, now: float) -> None:
        """Say again what is durable here, if it left a round trip ago and is not known to have come."""
        for counter in [c for c, told in self._told.items() if told.time + self.congestion.srtt_s <= now + _EPSILON_S]:
            self._requeue_controls(self._told.pop(counter))

    def adopt(self, other: "Arq", kinds: Iterable[int], now: float) -> None:
        """Take over the unfinished messages of an older session."""
        wanted = set(kinds)
        for message in [m for m in other.queue if m.kind in wanted]:
            other.finish(message.key)
            self.send(message.kind, message.cls, message.body, message.key, now)
            copy = self.queue.find(message.key)
            if copy is not None:
                copy.queued_s = message.queued_s

    def peer_restarted(self, now: float) -> None:
        """The other side has lost its memory: everything unfinished is sent from its first byte."""
        for sent in self._sent.values():
            self._requeue_controls(sent)
        for told in self._told.values():
            self._requeue_controls(told)
        self._sent.clear()
        self._told.clear()
        self._late.clear()
        self.pace.in_flight_bytes = 0
        self._base_s = self._loss_s = None
        self._by_number.clear()
        self._led.clear()
        for message in list(self.queue):
            message.untaken = 0
            self._renumber(message)
        self.heard(now)

    def heard(self, now: float) -> None:
        """The other side was heard: an outage is over, go at the remembered rate."""
        self._answered()
        self.heard_s = now
        if self.timeouts:
            if self.timeouts >= 2:
                self._outage.ended_s = now
            self.timeouts = 0
            self._lose(list(self._sent), now)
            self.pace.begin(now)
            for message in self._complete.values():
                # The durable answer may have been lost with the link: it has its time once more.
                message.complete_s, message.asked = now, False
            self.tell_again(now)

    def lose_all(self, now: float) -> None:
        """The bearer changed: what is in flight is sent again over the new one."""
        self._lose(list(self._sent), now)
        self.timeouts = 0
        self._answered()
        self.pace.begin(now)
        self.tell_again(now)

    def _answered(self) -> None:
        self.silent_since_s = None
        self.unanswered = 0
        self._tail_probes = 0

    def _renumber(self, message: Message) -> None:
        self._by_number.pop(message.number, None)
        self._complete.pop(message.key, None)
        self._numbers += 1
        message.again(self._numbers)
        self._by_number[message.number] = message

    # What the other side acknowledges.

    def on_ack(self, ack: fr.Ack, now: float) -> None:
        """Acknowledged packets: their fragments are held there, older ones may be lost."""
        bits = int.from_bytes(ack.bitmap, "little") << 1 | 1
        newest: _Sent | None = None
        for counter in [c for c in self._late if _acknowledges(ack, bits, c)]:
            late = self._late.pop(counter)
            self.congestion.packets.acked(late.size, now)
            self._credit(late, now)
            if counter == ack.cursor and late.time > self._outage.ended_s:
                newest = late  # its counter is its own: what came late says how long the way has become
        for counter in list(self._told):
            if _acknowledges(ack, bits, counter):
                del self._told[counter]
            elif counter + REORDER_PACKETS <= ack.cursor:
                self._requeue_controls(self._told.pop(counter))
        acked_bytes = 0
        for counter in [c for c in self._sent if _acknowledges(ack, bits, c)]:
            sent = self._sent.pop(counter)
            self.pace.in_flight_bytes -= sent.size
            acked_bytes += sent.size
            self.congestion.packets.acked(sent.size, now)
            self._credit(sent, now)
            if counter == ack.cursor:
                newest = sent
        if newest is not None:
            self.congestion.on_rtt(now - newest.time - ack.delay_ms / 1000)
        if not acked_bytes:
            return
        self._largest_acked = max(self._largest_acked, ack.cursor)
        self.congestion.on_acked(acked_bytes, now)
        self._base_s = now if self._sent else None
        self._find_losses(now)

    def _credit(self, sent: _Sent, now: float) -> None:
        for frame in sent.frames:
            if not isinstance(frame, fr.Frag):
                continue
            message = self._by_number.get(frame.message)
            if message is None:
                continue
            end = frame.offset + len(frame.data)
            message.held.add(frame.offset, end)
            message.pending.remove(frame.offset, end)
            message.copies.remove(frame.offset, end)
            if message.held.covers(0, len(message.body)):
                message.complete_s = now
                self._complete[message.key] = message
                if message.kind == fr.KIND_SIGNAL:
                    self.signal_acked_s = now
                if message.kind in (fr.KIND_SIGNAL, fr.KIND_STATE, fr.KIND_UPDATE):
                    self.finish(message.key)

    def _find_losses(self, now: float) -> None:
        patience_s = max(1.25 * self.congestion.srtt_s, 0.05)
        lost = []
        self._loss_s = None
        for counter, sent in self._sent.items():
            if counter > self._largest_acked:
                continue
            late_s = sent.time + patience_s
            if self._largest_acked - counter >= REORDER_PACKETS or late_s <= now:
                lost.append(counter)
            else:
                self._loss_s = late_s if self._loss_s is None else min(self._loss_s, late_s)
        if lost:
            self.congestion.on_lost(self._sent[counter].time for counter in lost)
            self._lose(lost, now)

    def _lose(self, counters: list[int], now: float) -> None:
        for counter in counters:
            sent = self._sent.pop(counter)
            self._late[counter] = sent
            self.pace.in_flight_bytes -= sent.size
            if self.timeouts < 2:
                self.congestion.packets.lost(sent.size)
            if not sent.probed:
                self._requeue_controls(sent)
            for frame in sent.frames:
                if isinstance(frame, fr.Frag) and not (sent.probed and frame.cls <= URGENT_CLS_MAX):
                    self._requeue(frame)
        while len(self._late) > _LATE_MAX:
            self._late.pop(next(iter(self._late)))
        if not self._sent:
            self._base_s = None

    def _requeue(self, frag: fr.Frag) -> None:
        message = self._by_number.get(frag.message)
        if message is None:
            return
        missing = Ranges((frag.offset, frag.offset + len(frag.data)))
        for start, end in message.held.spans():
            missing.remove(start, end)
        for start, end in missing.spans():
            message.pending.add(start, end)

    def _requeue_controls(self, sent: _Sent) -> None:
        for frame in sent.frames:
            if not isinstance(frame, fr.Frag | fr.Ack | fr.Probe | fr.Time | fr.Path):
                self.control(frame)

    # What leaves.

    def tick(self, now: float) -> None:
        """Let timers run out."""
        if self._loss_s is not None and self._loss_s <= now:
            self._find_losses(now)
        ask_s = self._ask_s()
        if ask_s is not None and ask_s <= now + _EPSILON_S:
            self.incoming.asked = True
            self.control(fr.Probe())
        if self._base_s is not None and self.timeouts < 2 and self._base_s + self.congestion.timeout_s <= now:
            self._time_out(now)
        if self.timeouts == 0:
            self._probe_tail(now)
            self._ask_stored(now)
        for message in list(self._complete.values()) if self.timeouts == 0 else []:
            if message.store_due_s is not None and message.store_due_s <= now:
                message.untaken += 1
                self._renumber(message)
        old = [c for c, sent in self._sent.items() if sent.time + _SENT_MEMORY_S <= now]
        if old:
            self._lose(old, now)

    def _ask_s(self) -> float | None:
        """When to ask where the rest of a message is. In an outage so both ends probe, and its end is seen sooner."""
        if self.timeouts or self._sent or self.incoming.asked or not self.incoming.unfinished:
            return None
        return self.heard_s + 1.5 * (self.congestion.srtt_s or FIRST_TIMEOUT_S) + ASK_AFTER_S

    def _stored_due_s(self, message: Message) -> float | None:
        if message.asked or message.complete_s is None:
            return None
        return message.complete_s + 1.5 * self.congestion.srtt_s + ASK_STORED_S

    def _ask_stored(self, now: float) -> None:
        """Ask once for the answer to what has arrived: it is told in passing and may have been lost."""
        for message in self._complete.values():
            due_s = self._stored_due_s(message)
            if due_s is not None and due_s <= now + _EPSILON_S:
                message.asked = True
                self.control(fr.Probe())

    def _tail_due_s(self, sent: _Sent) -> float | None:
        wait_s = self.congestion.probe_s
        if not sent.urgent or sent.probed or wait_s is None or self._tail_probes >= TAIL_PROBES_MAX:
            return None
        return sent.time + wait_s

    def _probe_tail(self, now: float) -> None:
        """Send again what is urgent and late, without calling its packet lost: it may have been the last one."""
        for sent in reversed(self._sent.values()):
            due_s = self._tail_due_s(sent)
            if due_s is None or due_s > now + _EPSILON_S:
                continue
            self._tail_probes += 1
            sent.probed = True
            self._requeue_controls(sent)
            for frame in sent.frames:
                if isinstance(frame, fr.Frag) and frame.cls <= URGENT_CLS_MAX:
                    self._requeue(frame)
            self._tail = True

    def _time_out(self, now: float) -> None:
        self.timeouts += 1
        self._lose(list(self._sent), now)
        if self.timeouts == 1:
            self._allowance = 1
            self._outage.suspected(now)
            if not self._controls and not self.queue.waiting(URGENT_CLS_MAX):
                # Asking is cheaper than repeating bulk into what is perhaps an outage.
                self.control(fr.Probe())
        else:
            self.congestion.on_outage()
            self._outage.begun(now)

    def next_frames(self, now: float, room: int) -> list[fr.Frame]:
        """Frames of the next packet, at most ``room`` bytes; empty when nothing may leave now."""
        # Who asks for the rest of a message tells what is held of it: only the ACK of that may have been lost.
        asking = self.timeouts > 0 or fr.Probe() in self._controls
        ack = self.incoming.ack(now, again=asking and self.incoming.unfinished)
        left = self.congestion.packets.fit(room, now) - (len(fr.encode(ack)) if ack else 0)
        if left < 0:
            return []
        frames: list[fr.Frame] = []
        if self.timeouts >= 2:
            probe = fr.Probe(wide=self._outage.patient)
            if self._outage.due(now) and left >= len(fr.encode(probe)):
                frames.append(probe)
                left -= len(fr.encode(probe))
                self._outage.probed(now)
            frames += self._take_controls(left, outage=True)
        elif self.timeouts == 0 or self._allowance > 0:
            frames = [] if self._controls_wait(now) else self._take_controls(left, outage=False)
            left -= sum(len(fr.encode(frame)) for frame in frames)
            if self._may_send(now):
                frames += self._fragments(left, now)
        self._tail = False
        if frames or self.incoming.ack_due(now):
            return [ack, *frames] if ack else frames
        return []

    def _controls_wait(self, now: float) -> bool:
        """The time and a greeting leave with an ACK that waits a moment for STORED."""
        alone = all(isinstance(frame, fr.Time | fr.Hello) for frame in self._controls)
        return alone and self.incoming.rides(now) and not self.queue.waiting()

    def _take_controls(self, left: int, *, outage: bool) -> list[fr.Frame]:
        taken: list[fr.Frame] = []
        for frame in list(self._controls):
            if outage and fr.eliciting(frame):
                continue
            size = len(fr.encode(frame))
            if size > left:
                continue
            left -= size
            self._controls.remove(frame)
            taken.append(frame)
        return taken

    def _fragments(self, left: int, now: float) -> list[fr.Frame]:
        frames: list[fr.Frame] = []
        base = min((int.from_bytes(m.key, "big") for m in self.queue.urgent() if m.kind == fr.KIND_SIGNAL), default=0)
        for message, ranges in self._departures(now):
            left = min(left, fr.FRAG_HEAD_MAX_BYTES + self.pace.piece_bytes(message.cls))
            if message.lead is not None and message.lead not in self._led:
                left -= len(fr.encode(message.lead))
                if left < fr.FRAG_HEAD_MAX_BYTES:
                    return frames
                self._led.add(message.lead)
                frames.append(message.lead)
            while ranges:
                space = left - fr.FRAG_HEAD_MAX_BYTES
                start, end = ranges.first()
                if space < min(_SMALLEST_PIECE, end - start):
                    return frames
                end = min(end, start + space)
                ranges.remove(start, end)
                nonce, low = (self.signal_nonce, base) if message.kind == fr.KIND_SIGNAL else (0, 0)
                data = message.body[start:end]
                frag = fr.Frag(message.kind, message.cls, message.number, start, len(message.body), data, nonce, low)
                frames.append(frag)
                left -= len(fr.encode(frag))
            if ranges is message.pending:
                message.copy_s = now + COPY_AFTER_S
        return frames

    def _departures(self, now: float) -> Iterator[tuple[Message, Ranges]]:
        cls_end = self.pace.cls_end(now, met=bool(self.congestion.srtt_s))
        return self.queue.departures(now, signals=self.signals_open, kind_of_signal=fr.KIND_SIGNAL, cls_end=cls_end)

    def _may_send(self, now: float) -> bool:
        if self.timeouts:
            return self._allowance > 0 and self.queue.waiting(URGENT_CLS_MAX)
        if self._tail:
            return True
        return self.pace.window_open(self.congestion) and self.pace.due_s(self.congestion) <= now + _EPSILON_S

    def on_sent(self, counter: int, frames: list[fr.Frame], size: int, now: float) -> None:
        """A packet left with ``frames``; ``size`` is its IP bytes."""
        if any(isinstance(frame, fr.Ack) for frame in frames):
            self.incoming.ack_left()
        asking = [frame for frame in frames if fr.eliciting(frame)]
        if all(fr.in_passing(frame) for frame in asking):
            if asking:
                self._told[counter] = _Sent(now, size, tuple(asking), urgent=False)
                while len(self._told) > _TOLD_MAX:
                    self._told.pop(next(iter(self._told)))
            return
        self.last_eliciting_s = now
        if self.silent_since_s is None:
            self.silent_since_s = now
        self.unanswered += 1
        if self.timeouts == 1:
            self._allowance = 0
        if self._base_s is None:
            self._base_s = now
        urgent = any(isinstance(frame, fr.Frag) and frame.cls <= URGENT_CLS_MAX for frame in frames)
        self._sent[counter] = _Sent(now, size, tuple(frames), urgent)
        limited = any(isinstance(frame, fr.Frag) and frame.cls >= LIMITED_CLS_MIN for frame in frames)
        self.pace.left(size, self.congestion, now, limited=limited)
        self.congestion.packets.sent(size, now)
        self.congestion.on_sent(self.pace.in_flight_bytes)

    def get_timer(self, now: float) -> float | None:
        """When :meth:`tick` and :meth:`next_frames` have work again."""
        times = [t for t in (self.incoming.ack_s, self._loss_s, self._ask_s()) if t is not None]
        if self.timeouts >= 2:
            times += [due_s for due_s in (self._outage.next_s(now),) if due_s is not None]
        else:
            if self._base_s is not None:
                times.append(self._base_s + self.congestion.timeout_s)
            if self.timeouts == 0:
                times += [due for due in map(self._tail_due_s, self._sent.values()) if due is not None]
                copy_s = self.queue.next_copy_s(now)
                times += [] if copy_s is None else [copy_s]
                times += [due for due in map(self._stored_due_s, self._complete.values()) if due is not None]
            if self.timeouts == 0 and self.pace.window_open(self.congestion):
                times += [self.pace.due_s(self.congestion)] if next(self._departures(now), None) is not None else []
            limit_s = self.pace.limit_s(now)
            times += [limit_s] if limit_s is not None and self.queue.waiting() else []
        if self.timeouts == 0:
            times += [due for due in (m.store_due_s for m in self._complete.values()) if due is not None]
        return min(times, default=None)


def _acknowledges(ack: fr.Ack, bits: int, counter: int) -> bool:
    """``bits``: the bitmap with a bit for the cursor itself in front."""
    behind = ack.cursor - counter
    return 0 <= behind <= _BITMAP_BITS and bool(bits >> behind & 1)
