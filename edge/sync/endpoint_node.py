"""The node's end of the link: epoch, transport and events in one object. Without I/O.

Call order as in aioquic: ``receive`` what came, take events by ``next_event``, send what
``datagrams_to_send`` gives, come back at ``get_timer``. ``now`` is any clock in seconds that never
runs backwards. Not thread-safe.
"""

from collections import deque
from collections.abc import Callable, Hashable

import msgspec

from . import frames as fr
from . import hubkey, seal
from .arq import Arq
from .blobs import pack_chunk
from .bundle import BundlePayload, Chunk, pack_for
from .congestion import DelayAimd
from .downs import DownsHeld
from .faults import point
from .hub_processes import HubProcesses
from .link import (
    BundleAcked,
    BundleRef,
    Cls,
    DownArrived,
    HubKeyTold,
    HubMet,
    LinkChanged,
    LinkState,
    NodeEvent,
    Reseal,
    SignalArrived,
    Silence,
    StateArrived,
    TimeOffset,
    UnlockTold,
    UpdateHeard,
)
from .meter import Meter, Wait
from .outage import Reminder
from .presence import Presence
from .signals import FRESH_S, NONCE_USE_S, Delivered, pack_signal, unpack_signal
from .trains import TrainAsking
from .unlocking import UnlockAsking
from .versions import FIRST, OURS, common_level

DATAGRAM_MAX_BYTES = 1_200
IP_UDP_BYTES = 28
_TAGS_REMEMBERED = 128


class NodeEndpoint:
    """One node's link to its hub, over whatever path the caller names."""

    def __init__(
        self,
        keys: seal.NodeKeys,
        run: bytes,
        epsilon: bytes,
        grade: seal.Grade,
        signer: bytes,
        now: float,
        *,
        random: Callable[[int], bytes],
        path: Hashable = "udp",
    ) -> None:
        """``epsilon``: 32 fresh random bytes; ``signer``: private key of the grade (L or D)."""
        self._keys, self._run, self._random = keys, run, random
        self._grade, self._signer = grade, signer
        self.path = path
        self._congestion: dict[Hashable, DelayAimd] = {path: DelayAimd()}
        self._events: deque[NodeEvent] = deque()
        self._outgoing: list[tuple[bytes, Hashable]] = []
        self._refs: dict[bytes, tuple[BundleRef, int]] = {}
        self._downs = DownsHeld()
        self._signals = 0
        self._states = 0
        self._presence = Presence()
        self.unlock = UnlockAsking()
        """Set going by the application, at a locked node; what the hub says comes as :class:`UnlockTold`."""
        self.train = TrainAsking()
        """Set going by the application; what became of the train comes as :class:`TrainTold`."""
        self._online = False
        self._told_bearer: Hashable = None
        self.hub_reads = FIRST
        """What the hub said that it reads; kept over epochs and hub processes until it says otherwise."""
        self.meter = Meter()
        """Counts what this link carries; the application puts in its own, with caps."""
        self._bulk_bps: float | None = None
        self._said = fr.Limit(False, None)
        self._now = now
        self._delivered = Delivered()
        self._begin(epsilon, now)
        self._arq = self._fresh_arq(now)

    def _fresh_arq(self, now: float) -> Arq:
        arq = Arq(self._congestion[self.path], now, probes=True)
        arq.control(fr.Probe())
        self._said = fr.Limit(False, None)
        self._meet_anew(arq)
        return arq

    def _meet_anew(self, arq: Arq) -> None:
        """Who reads what a first release reads need not say so, unless the hub may think otherwise."""
        self._greeted = OURS != FIRST or self.hub_reads != FIRST
        if self._greeted:
            arq.control(fr.Hello(OURS))

    def _begin(self, epsilon: bytes, now: float) -> None:
        self._epoch = seal.Epoch.new(self._keys, self._run, epsilon, self._grade, self._signer)
        self._born_s = now
        self._attach = True
        self._hubs = HubProcesses(self._delivered)
        self._nonce: tuple[int, float] | None = None
        self._nonce_asked_s: float | None = None
        self._tags: deque[bytes] = deque(maxlen=_TAGS_REMEMBERED)
        self._reminder = Reminder()

    # What the application says.

    @property
    def opening(self) -> bytes:
        """Opening of the present epoch; it belongs to every bundle sealed now."""
        return self._epoch.opening

    def seal_bundle(self, payload: BundlePayload) -> BundleRef:
        """Pack and seal entries under the present epoch. Store the result, then submit it.

        Packs in the caller's thread, some milliseconds a visit. Raises BundleRefused when a limit is exceeded.
        """
        return self.seal_packed(self.pack(payload))

    def pack(self, payload: BundlePayload) -> bytes:
        """The bytes to seal, as the hub can read them. May run in another thread than the endpoint."""
        return pack_for(payload, self.hub_reads)

    def seal_packed(self, packed: bytes) -> BundleRef:
        """Seal what :meth:`pack` made, under the present epoch."""
        return self._sealed(packed)

    def seal_chunk(self, chunk: Chunk) -> BundleRef:
        """Seal a piece of a blob. Store the result, then submit it, like any bundle."""
        return self._sealed(pack_chunk(chunk))

    def _sealed(self, packed: bytes) -> BundleRef:
        sealed = self._epoch.seal_bundle(packed)
        point("bundle.sealed")
        return BundleRef(self._epoch.opening, sealed, seal.bundle_id(sealed))

    def submit_bundle(self, ref: BundleRef, cls: int, now: float | None = None) -> None:
        """Send a bundle that lies in the outbox, until the hub says that it is durable. Idempotent."""
        if ref.bundle_id in self._refs:
            return
        self._refs[ref.bundle_id] = (ref, cls)
        self._queue(ref, cls, self._latest(now))

    def _queue(self, ref: BundleRef, cls: int, now: float) -> None:
        lead = fr.Open(ref.opening) if ref.opening != self._epoch.opening else None
        self._arq.send(fr.KIND_BUNDLE, cls, ref.sealed, ref.bundle_id, now, lead)

    def has_left(self, bundle_id: bytes) -> bool:
        """Whether every byte of a bundle has left, and none has to leave again at present."""
        message = self._arq.queue.find(bundle_id)
        return message is not None and not message.pending

    def withdraw_bundle(self, bundle_id: bytes) -> None:
        """Forget a bundle (it went another way, or was sealed anew)."""
        self._refs.pop(bundle_id, None)
        self._arq.finish(bundle_id)

    def send_signal(self, blob: bytes, now: float | None = None) -> None:
        """Send a call signal of at most 32 kB; given up after 30 s. Raises BadInput."""
        self._presence.attended_s = self._latest(now)
        self._signals += 1
        body = pack_signal(self._signals, blob, self.hub_reads)
        key = self._signals.to_bytes(8, "big")
        self._arq.send(fr.KIND_SIGNAL, Cls.SIGNAL, body, key, self._latest(now))

    def send_state(self, body: bytes, cls: int, now: float | None = None) -> None:
        """Send a message of :mod:`edge.sync.holdings`; lost with the session, said again at the next ``HubMet``."""
        self._states += 1
        key = b"state" + self._states.to_bytes(8, "big")
        self._arq.send(fr.KIND_STATE, cls, body, key, self._latest(now))

    def send_update(self, body: bytes, key: bytes, now: float | None = None) -> None:
        """Send a message of :mod:`edge.sync.updating`, one of the same key once; lost with the session."""
        self._arq.send(fr.KIND_UPDATE, Cls.TELEMETRY, body, b"update" + key, self._latest(now))

    @property
    def others_wait(self) -> bool:
        """Whether anything else than telemetry and updates has still to leave."""
        return self._arq.queue.waiting(Cls.CLIP)

    def down_stored(self, seq: int) -> None:
        """The down blob ``seq`` is durable here; tell the hub."""
        self._downs.stored(seq)
        self._arq.control(fr.DownStored(seq))

    def down_failed(self, seq: int) -> None:
        """The down blob could not be stored; the hub will send it again."""
        self._downs.failed(seq)

    def limit_bulk(self, rate_bps: float | None) -> None:
        """A call is up: at most so much of classes 2 to 5 leaves and comes, IP bits per second. None: it is over."""
        self._bulk_bps = rate_bps

    def _apply_limits(self) -> None:
        """Hold and limit what leaves, and tell the hub when it changes."""
        pace = self._arq.pace
        pace.held, pace.bulk_bps = self.meter.waits(str(self.path)) is not Wait.NO, self._bulk_bps
        limit = fr.Limit(pace.held, None if self._bulk_bps is None else int(self._bulk_bps) // 100 * 100)
        if limit != self._said:
            self._said = limit
            self._arq.control(limit)

    def _waits(self) -> Wait:
        held = self.meter.waits(str(self.path))
        return Wait.CALL if held is Wait.NO and self._bulk_bps is not None else held

    @property
    def line_bytes(self) -> float:
        """The bandwidth-delay product of the present path; 0 while unknown."""
        return self._arq.congestion.line_bytes

    def silent_for_s(self, now: float) -> float:
        """Seconds since the first packet on this path that is still unanswered; 0 for none."""
        since_s = self._arq.silent_since_s
        return now - since_s if since_s is not None else 0.0

    def silence(self, now: float) -> Silence:
        """What the present path owes: for the choice of the bearer."""
        return Silence(self.silent_for_s(now), self._arq.unanswered, self._arq.congestion.srtt_s)

    def set_grade(self, grade: seal.Grade, signer: bytes, now: float) -> None:
        """Unlocked or locked: a new epoch begins under the key of the grade."""
        self._grade, self._signer = grade, signer
        self.rotate(now)

    def rotate(self, now: float) -> None:
        """Begin a new epoch and take unfinished messages along."""
        old = self._arq
        self._begin(self._random(seal.EPSILON_BYTES), now)
        self._arq = self._fresh_arq(now)
        for ref, cls in self._refs.values():
            self._queue(ref, cls, now)
        self._arq.adopt(old, (fr.KIND_SIGNAL,), now)

    def use_path(self, path: Hashable, now: float) -> None:
        """The bearer changed: everything leaves on ``path`` from now on."""
        if path == self.path:
            return
        self.path = path
        self._arq.congestion = self._congestion.setdefault(path, DelayAimd())
        self._arq.lose_all(now)
        self._arq.control(fr.Probe())
        self._note_link(now)

    def probe_path(self, path: Hashable, now: float) -> None:
        """Ask whether another path works; an answer shows as ``receive`` on that path."""
        self._send_alone([fr.Probe()], path, now)

    def link_state(self, now: float) -> LinkState:
        """How the hub was last heard, and what waits."""
        level = common_level(self.hub_reads) or 0
        return self._presence.state(now, self._arq, self.meter, str(self.path), self._waits(), level)

    # What the bearer says.

    def receive(self, data: bytes, path: Hashable, now: float) -> bool:
        """A datagram came; True if it is the hub's. Never raises: what is not ours is dropped."""
        self._now = max(self._now, now)
        self.meter.count(str(path), len(data), up=False)
        if data[:1] == bytes((seal.TYPE_UNKNOWN_EPOCH,)):
            return self._hub_forgot(data)
        if data[:1] == bytes((hubkey.TYPE_HUB_KEY,)):
            return self._hub_key(data, now)
        try:
            salt, counter, plain = self._epoch.open_packet(data)
            frames = fr.decode(plain)
        except (seal.SealRefused, fr.FrameRefused):
            return False
        if salt != self._hubs.salt and not self._meet(salt, frames):
            return False
        self._attach = False
        self._presence.heard_s = now
        self._arq.heard(now)
        taken = True
        for frame in frames:
            taken = self._take(frame, path, now) and taken
        if taken:
            self._arq.incoming.received(counter, frames, now)
        if self._arq.incoming.missed(frames):
            self._arq.tell_again(now)
        self._deliver(now)
        self._note_train(now)
        self._note_link(now)
        return True

    def _hub_key(self, data: bytes, now: float) -> bool:
        """The hub cannot open our opening any more: its key was destroyed."""
        key = hubkey.decode(data, self._epoch.epoch_id, list(self._tags))
        if key is None or not self.adopt_hub_key(key, now):
            return False
        self._events.append(HubKeyTold(key))
        return True

    def adopt_hub_key(self, key: hubkey.HubKey, now: float) -> bool:
        """Seal to this key from now on, in a new epoch; False for one that is not H's or not newer."""
        if not hubkey.holds(key, self._keys.hub_sign, self._keys.kem_made_ms):
            return False
        known = tuple(public for public in self._keys.hub_kem if public != key.public)
        self._keys = msgspec.structs.replace(self._keys, hub_kem=(key.public, *known), kem_made_ms=key.made_ms)
        self.rotate(now)
        return True

    def _hub_forgot(self, data: bytes) -> bool:
        if len(data) != 13 or data[1:5] != self._epoch.epoch_id or data[5:] not in self._tags or self._attach:
            return False
        self._attach = True
        self._retire()
        self._arq.control(fr.Probe())
        return True

    def _meet(self, salt: bytes, frames: list[fr.Frame]) -> bool:
        """Another hub process speaks, or the late packet of one that was replaced, which is not believed."""
        acked = max((frame.cursor for frame in frames if isinstance(frame, fr.Ack)), default=-1)
        if not self._hubs.is_believed(salt, acked):
            return False
        self._retire()
        if self._hubs.meet(salt):
            self._events.append(HubMet())
        self._arq.incoming = self._hubs.incoming
        return True

    def _retire(self) -> None:
        """The hub process that was spoken to is another one now: what it had in RAM is gone."""
        if self._hubs.retire(self._epoch.next_counter):
            self._restart()

    def _restart(self) -> None:
        self._arq.peer_restarted(self._now)
        self._meet_anew(self._arq)
        self._said = fr.Limit(False, None)
        self._nonce = None

    def _take(self, frame: fr.Frame, path: Hashable, now: float) -> bool:
        match frame:
            case fr.Frag(kind=fr.KIND_DOWN | fr.KIND_SIGNAL | fr.KIND_STATE | fr.KIND_UPDATE):
                return self._arq.incoming.take(frame)
            case fr.Hello():
                self.hub_reads = frame.reads
                if not self._greeted:
                    self._greeted = True
                    self._arq.control(fr.Hello(OURS))
            case fr.Ack():
                self._arq.on_ack(frame, now)
            case fr.Time():
                self._nonce = (frame.nonce, now)
                self._nonce_asked_s = None
                half_ms = int(self._arq.congestion.srtt_s * 500)
                self._events.append(TimeOffset(frame.unix_ms + half_ms, half_ms))
            case fr.Path() if not frame.echo:
                self._echo(fr.Path(True, frame.token), path, now)
            case fr.Wanted():
                for ref, _ in self._refs.values():
                    if seal.epoch_id_of(ref.opening) == frame.epoch_id:
                        self._arq.control(fr.Open(ref.opening))
            case fr.Stored():
                self._stored(frame.bundle_id, frame.level)
            case fr.StoredHere():
                for bundle_id in self._arq.bundles_of(frame.spans):
                    self._stored(bundle_id, frame.level)
            case fr.Train() | fr.TrainSeen():
                self.train.take(frame, now)
            case fr.Unlock() if frame.request == self.unlock.request:
                self._events.append(UnlockTold(frame.request, frame.state, frame.secret))
            case fr.Reseal():
                if frame.bundle_id in self._refs:
                    self.withdraw_bundle(frame.bundle_id)
                    self._events.append(Reseal(frame.bundle_id))
            case _:
                pass
        return True

    def _stored(self, bundle_id: bytes, wire: int) -> None:
        level = wire & ~fr.QUARANTINED
        known = self._refs.pop(bundle_id, None)
        self._arq.finish(bundle_id)
        if known is not None or level > 1:
            self._events.append(BundleAcked(bundle_id, level, bool(wire & fr.QUARANTINED)))

    def _echo(self, echo: fr.Path, path: Hashable, now: float) -> None:
        """On the path where the challenge came; with an ACK that waits, where that goes the same way."""
        if path == self.path:
            self._arq.control(echo)
        else:
            self._send_alone([echo], path, now)

    def _deliver(self, now: float) -> None:
        arrived, self._arq.incoming.arrived = self._arq.incoming.arrived, []
        for message in arrived:
            if message.kind == fr.KIND_DOWN and len(message.body) > 8:
                self._down(int.from_bytes(message.body[:8], "big"), message.body[8:])
            elif message.kind == fr.KIND_STATE:
                self._events.append(StateArrived(self._keys.node_id, message.body))
            elif message.kind == fr.KIND_UPDATE:
                self._events.append(UpdateHeard(self._keys.node_id, message.body))
            elif message.kind == fr.KIND_SIGNAL:
                signal = unpack_signal(message.body)
                if signal is not None:
                    self._presence.attended_s = now
                    ready = self._hubs.order.take(signal[0], message.base, signal[1], now)
                    self._events.extend(SignalArrived(self._keys.node_id, blob) for blob in ready)

    def _down(self, seq: int, blob: bytes) -> None:
        if self._downs.is_stored(seq):
            self._arq.control(fr.DownStored(seq))
        elif self._downs.offer(seq):
            self._events.append(DownArrived(seq, blob))

    # What leaves.

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Hashable]]:
        """Everything that may leave now."""
        self._now = max(self._now, now)
        if self._rotation_due(now):
            self.rotate(now)
        self._arq.tick(now)
        self._apply_limits()
        self._keep_alive(now)
        self._freshen(now)
        while True:
            frames = self._arq.next_frames(now, self._room())
            if not frames:
                break
            if self._hubs.salt is None and any(isinstance(frame, fr.Frag) for frame in frames):
                # Who meets us for the first time says the time unasked, and a fragment asks for an ACK as well.
                frames = [frame for frame in frames if not isinstance(frame, fr.Probe)]
            counter, datagram = self._seal(frames)
            self._arq.on_sent(counter, frames, len(datagram) + IP_UDP_BYTES, now)
            self._outgoing.append((datagram, self.path))
        self._outgoing += [(self._seal([packet])[1], self.path) for packet in self.train.leaving()]
        self._note_train(now)
        self._note_link(now)
        outgoing, self._outgoing = self._outgoing, []
        for datagram, path in outgoing:
            self.meter.count(str(path), len(datagram), up=True)
        return outgoing

    def _room(self) -> int:
        opening = seal.OPENING_BYTES if self._attach else 0
        return DATAGRAM_MAX_BYTES - seal.PACKET_UP_OVERHEAD_BYTES - opening

    def _seal(self, frames: list[fr.Frame]) -> tuple[int, bytes]:
        counter, packet = self._epoch.seal_packet(b"".join(fr.encode(frame) for frame in frames))
        self._tags.append(packet[-8:])
        fits = len(packet) + seal.OPENING_BYTES <= DATAGRAM_MAX_BYTES
        remind = self._reminder.is_due(self._now, outage=self._arq.timeouts > 1) and fits
        return counter, self._epoch.opening + packet if self._attach or remind else packet

    def _send_alone(self, frames: list[fr.Frame], path: Hashable, now: float) -> None:
        counter, datagram = self._seal(frames)
        if path == self.path:
            self._arq.on_sent(counter, frames, len(datagram) + IP_UDP_BYTES, now)
        self._outgoing.append((datagram, path))

    def _keep_alive(self, now: float) -> None:
        if self._arq.timeouts == 0 and now - self._arq.last_eliciting_s >= self._presence.keepalive_s(now):
            self._arq.control(fr.Probe())

    def _freshen(self, now: float) -> None:
        """Signals need a fresh hub nonce; those older than 30 s are given up."""
        signals = [m for m in self._arq.queue.urgent() if m.kind == fr.KIND_SIGNAL]
        for message in signals:
            if message.queued_s + FRESH_S <= now:
                self._arq.finish(message.key)
        fresh = self._nonce is not None and now - self._nonce[1] < NONCE_USE_S
        self._arq.signals_open = fresh
        asks = self.unlock.is_due(now)
        if fresh and self._nonce is not None:
            self._arq.signal_nonce = self._nonce[0]
            if asks:
                self._arq.control(self.unlock.take(self._nonce[0], now))
        elif (signals or asks) and (self._nonce_asked_s is None or now - self._nonce_asked_s >= self._ask_again_s()):
            self._nonce_asked_s = now
            self._arq.control(fr.Probe())

    def _ask_again_s(self) -> float:
        return self._arq.congestion.probe_s or self._arq.congestion.timeout_s

    def _rotation_due(self, now: float) -> bool:
        return (
            now - self._born_s >= seal.EPOCH_LIFE_S
            or self._epoch.packets_sealed >= seal.EPOCH_PACKETS
            or self._hubs.many
        )

    def get_timer(self) -> float | None:
        """When ``datagrams_to_send`` has work again, on the clock of ``now``."""
        now = self._latest(None)
        times = [self._born_s + seal.EPOCH_LIFE_S]
        if self._outgoing:
            times.append(now)
        times += [due_s for due_s in (self._arq.get_timer(now), self.train.due_s) if due_s is not None]
        if self._arq.timeouts == 0:
            times.append(self._arq.last_eliciting_s + self._presence.keepalive_s(now))
        for message in self._arq.queue.urgent():
            if message.kind == fr.KIND_SIGNAL:
                times.append(message.queued_s + FRESH_S)
                asked_s = self._nonce_asked_s
                if not self._arq.signals_open:
                    times.append(now if asked_s is None else asked_s + self._ask_again_s())
        if self.unlock.due_s is not None:
            asked_s = self._nonce_asked_s
            times.append(max(self.unlock.due_s, now if asked_s is None else asked_s + self._ask_again_s()))
        if self._online:
            times.append(self._presence.online_until_s(now, self._arq))
        return min(times)

    def next_event(self) -> NodeEvent | None:
        """The next thing the application should know, or None."""
        return self._events.popleft() if self._events else None

    def _note_train(self, now: float) -> None:
        if (told := self.train.told(str(self.path), now)) is not None:
            self._events.append(told)

    def _note_link(self, now: float) -> None:
        online = self._presence.is_online(now, self._arq)
        if online != self._online or self.path != self._told_bearer:
            self._online, self._told_bearer = online, self.path
            self._events.append(LinkChanged(self.link_state(now)))

    def _latest(self, now: float | None) -> float:
        """The caller's time, or the last one heard."""
        if now is not None:
            self._now = max(self._now, now)
        return self._now
