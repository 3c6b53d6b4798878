"""The hub's end of all links: who speaks, on which path, and what is owed to whom. Without I/O.

Believes nothing before a MAC; does no public-key work before it; sends an address that has not proved
itself never more bytes than came from there. Nodes are found by the directory, from memory.
"""

from collections import deque
from collections.abc import Callable, Hashable

from . import frames as fr
from . import hubkey, seal
from .arq import Arq
from .congestion import DelayAimd
from .faults import point
from .hub_node import COLLISIONS_MAX, HubNode
from .link import (
    ATTENDED_KEEPALIVE_S,
    KEEPALIVE_S,
    Cls,
    Directory,
    DownStored,
    HubEvent,
    LinkState,
    NodeSeen,
    SignalArrived,
    StateArrived,
    UnlockAsked,
    UpdateHeard,
    online_limit_s,
)
from .session import Session
from .signals import FRESH_S, SignalOrder, first_number, pack_signal, unpack_signal
from .timers import Timers
from .versions import FIRST, OURS, Reads, common_level

SESSIONS_PER_NODE = 4
SESSIONS_MAX = 20_000
"""At one process, at about 30 kB each. Beyond it those that no node uses go first, a hundredth at once."""
SEEN_EVERY_S = 5.0
UNKNOWN_PER_S = 50.0
"""Answers to packets of unknown epochs, all addresses together."""


class HubEndpoint:
    """All nodes' links at one hub process."""

    def __init__(
        self,
        keys: seal.HubKeys,
        directory: Directory,
        now: float,
        *,
        unix_offset_s: float,
        random: Callable[[int], bytes],
    ) -> None:
        """``unix_offset_s``: Unix time minus ``now``; set the attribute anew when the clock is stepped."""
        self._keys, self._directory, self._random = keys, directory, random
        self._hub_key = _hub_key_of(keys)
        self.unix_offset_s = unix_offset_s
        self._now = now
        self._nodes: dict[bytes, HubNode] = {}
        self._sessions: dict[bytes, list[Session]] = {}
        self._session_count = 0
        self._events: deque[HubEvent] = deque()
        self._alone: list[tuple[bytes, Hashable]] = []
        self._dirty: dict[Session, None] = {}
        self._timers: Timers[Session] = Timers()
        self._crowded: dict[Session, None] = {}
        """Sessions that had something to send, on a path that had no room."""
        self.has_room: Callable[[Hashable, float], bool] = lambda path, line_bytes: True
        """Whether a bearer takes more for a path, whose line holds so many bytes (0 while unknown); set by whoever runs
        this. What leaves next is decided when it does: it says :meth:`made_room` then."""
        self._unknown_credit = UNKNOWN_PER_S
        self._unknown_s = now

    # What the application says.

    def bundle_stored(self, node_id: bytes, bundle_id: bytes, level: int = 1, *, quarantined: bool = False) -> None:
        """The bundle is durable (fsynced: level 1; in a second copy: level 2): acknowledge it."""
        node = self._node(node_id)
        if node is None:
            return
        point("hub.before_ack")
        node.stored(bundle_id, level | (fr.QUARANTINED if quarantined else 0))
        self._tell(node)

    def bundle_failed(self, node_id: bytes, bundle_id: bytes) -> None:
        """The bundle could not be stored (a full disk): offer it again when the node repeats it."""
        node = self._nodes.get(node_id)
        if node is not None:
            node.failed(bundle_id)

    def send_down(self, node_id: bytes, seq: int, blob: bytes, cls: int, now: float | None = None) -> None:
        """Send a down blob (``seal.seal_down``) until the node says that it is durable. Idempotent by seq.

        Kept in RAM until then; after a restart of the hub hand it over again at ``NodeSeen(fresh=True)``.
        """
        node = self._node(node_id)
        if node is None or seq in node.downs:
            return
        node.downs[seq] = (blob, cls)
        if node.current is not None:
            self._queue_down(node.current, seq, blob, cls, self._latest(now))

    def meets(self, node_id: bytes) -> bool:
        """Whether this process speaks with the node, or did last."""
        node = self._nodes.get(node_id)
        return node is not None and node.current is not None

    def online(self, now: float) -> list[bytes]:
        """Nodes that this process hears at present."""
        return [node_id for node_id in self._nodes if self.presence(node_id, now).online]

    def forget_down(self, node_id: bytes, seq: int) -> None:
        """The node told another process that it holds this blob."""
        node = self._nodes.get(node_id)
        if node is None or node.downs.pop(seq, None) is None:
            return
        for session in node.sessions:
            session.arq.finish(seq.to_bytes(8, "big") + b"d")

    def send_signal(self, node_id: bytes, blob: bytes, now: float | None = None) -> bool:
        """Send a call signal of at most 32 kB; given up after 30 s. False when the node has no session.

        Raises BadInput for a larger one.
        """
        node = self._node(node_id)
        if node is None or node.current is None:
            return False
        node.signals = node.signals + 1 if node.signals else first_number(node.current.salt)
        body = pack_signal(node.signals, blob, node.current.reads)
        node.current.arq.send(fr.KIND_SIGNAL, Cls.SIGNAL, body, node.signals.to_bytes(8, "big"), self._latest(now))
        self._dirty[node.current] = None
        return True

    def send_state(self, node_id: bytes, body: bytes, cls: int, now: float | None = None) -> None:
        """Send a message of :mod:`edge.sync.holdings` in the present session; nothing without one."""
        node = self._node(node_id)
        if node is None or node.current is None:
            return
        node.states += 1
        key = b"state" + node.states.to_bytes(8, "big")
        node.current.arq.send(fr.KIND_STATE, cls, body, key, self._latest(now))
        self._dirty[node.current] = None

    def send_update(self, node_id: bytes, body: bytes, key: bytes, now: float | None = None) -> bool:
        """Send a message of :mod:`edge.sync.updating` in the present session, of one key once; False without one."""
        node = self._node(node_id)
        if node is None or node.current is None:
            return False
        node.current.arq.send(fr.KIND_UPDATE, Cls.TELEMETRY, body, b"update" + key, self._latest(now))
        self._dirty[node.current] = None
        return True

    def updates_pending(self, node_id: bytes) -> int:
        """Bytes of such messages that have not arrived."""
        node = self._nodes.get(node_id)
        if node is None or node.current is None:
            return 0
        return sum(len(message.body) for message in node.current.arq.queue if message.kind == fr.KIND_UPDATE)

    def withdraw_updates(self, node_id: bytes) -> None:
        """Forget such messages that have not arrived: whoever wants them asks again."""
        node = self._nodes.get(node_id)
        session = node.current if node is not None else None
        if session is not None:
            for message in [one for one in session.arq.queue if one.kind == fr.KIND_UPDATE]:
                session.arq.finish(message.key)

    def tell_unlock(self, node_id: bytes, request: bytes, state: int, secret: bytes = b"") -> None:
        """Answer a request, in the session in which it was asked and in no other; nothing to a revoked node.

        ``state`` and ``secret`` as in :class:`edge.sync.frames.Unlock`.
        """
        node, record = self._nodes.get(node_id), self._directory.by_id(node_id)
        if node is None or record is None or record.revoked or record.psk != node.record.psk:
            return
        asked, session = node.asked or (b"", None)
        if asked == request and session is not None and session in node.sessions:
            session.arq.control(fr.Unlock(request, state, secret))
            self._dirty[session] = None

    def locked_run(self, node_id: bytes) -> bytes | None:
        """The process with which a node is there now while it is locked; None when it is open or gone."""
        node = self._nodes.get(node_id)
        session = node.current if node is not None else None
        return session.epoch.run if session is not None and session.epoch.grade is seal.Grade.DEVICE else None

    def presence(self, node_id: bytes, now: float) -> LinkState:
        """How a node was last heard; not online when it owes a keep-alive, or answers to two timeouts."""
        node = self._nodes.get(node_id)
        session = node.current if node else None
        if node is None or session is None or node.heard_s is None:
            return LinkState(False, float("inf"), 0, 0, "")
        age_s = now - node.heard_s
        items, size = session.arq.queue.backlog()
        congestion = session.arq.congestion
        path = session.active
        bearer = str(path[0]) if isinstance(path, tuple) else str(path)
        rtt_ms = int(congestion.srtt_s * 1000)
        keepalive_s = ATTENDED_KEEPALIVE_S if session.attended(now) else KEEPALIVE_S
        online = age_s < online_limit_s(keepalive_s, congestion.srtt_s) and session.arq.timeouts < 2
        return LinkState(
            online, age_s, rtt_ms, congestion.rate_bps, bearer, items, size, common_level(session.reads) or 0
        )

    def reads(self, node_id: bytes) -> Reads:
        """What the node said that it reads; a first release's abilities until it has."""
        node = self._nodes.get(node_id)
        return node.current.reads if node is not None and node.current is not None else FIRST

    # What the bearer says.

    def receive(self, data: bytes, path: Hashable, now: float) -> bool:
        """A datagram came from ``path``; True if it held a packet of a node's. Never raises: the rest is dropped."""
        self._now = max(self._now, now)
        size = len(data)
        try:
            if data[:1] == bytes((seal.TYPE_OPENING,)):
                self._meet_or_tell(data, path, now)
                data = data[seal.OPENING_BYTES :]
            if data[:1] == bytes((seal.TYPE_PACKET_UP,)):
                return self._packet(data, path, size, now)
        except (seal.SealRefused, fr.FrameRefused):
            pass
        return False

    def use_keys(self, keys: seal.HubKeys) -> None:
        """KEM keys were added or destroyed."""
        self._keys = keys
        self._hub_key = _hub_key_of(keys)

    def _meet_or_tell(self, data: bytes, path: Hashable, now: float) -> None:
        """A node that knows only a key that is gone is told the newest one, within the bytes that it sent."""
        opening = data[: seal.OPENING_BYTES]
        try:
            self._meet(opening, now)
        except seal.SealRefused as error:
            if error.refusal.code == "hub_key_gone" and self._hub_key is not None and len(data) > seal.OPENING_BYTES:
                self._say_alone(hubkey.encode(self._hub_key, opening, data), path, now)
            raise

    def _meet(self, opening: bytes, now: float) -> None:
        """A session for an opening; the same opening finds its session again."""
        epoch_id = seal.epoch_id_of(opening)
        known = self._sessions.get(epoch_id, [])
        if any(session.epoch.opening == opening for session in known):
            return
        if len(known) >= COLLISIONS_MAX:
            return
        node, epoch = self._open(opening)
        session = Session(node.record.node_id, epoch, self._random, Arq(DelayAimd(), now, probes=False), now)
        if OURS != FIRST:
            self._greet(session)
        node.sessions.append(session)
        self._sessions.setdefault(epoch_id, []).append(session)
        self._session_count += 1
        while len(node.sessions) > SESSIONS_PER_NODE:
            stale = min((s for s in node.sessions if s is not session), key=lambda s: (s is node.current, s.heard_s))
            self._drop(node, stale)
        if self._session_count > SESSIONS_MAX:
            self._make_place()

    def _make_place(self) -> None:
        everyone = [one for group in self._sessions.values() for one in group]
        everyone.sort(key=lambda one: (one is self._nodes[one.node_id].current, one.heard_s))
        for one in everyone[: max(SESSIONS_MAX // 100, 1)]:
            self._drop(self._nodes[one.node_id], one)

    def _greet(self, session: Session) -> None:
        session.greeted = True
        session.arq.control(fr.Hello(OURS))

    def _open(self, opening: bytes) -> tuple[HubNode, seal.OpenedEpoch]:
        candidates = list(self._directory.by_hint(seal.opening_hint(opening)))[:COLLISIONS_MAX]
        for record in candidates:
            if seal.opening_is_from(opening, record.psk):
                node = self._nodes.get(record.node_id)
                epoch = node.epoch(opening) if node else None
                if epoch is None:
                    epoch = seal.open_opening(opening, self._keys, record)
                node = self._nodes.setdefault(record.node_id, HubNode(record, self._events))
                node.remember(epoch)
                return node, epoch
        raise seal.SealRefused("an opening of no node we know", code="node_unknown")

    def _drop(self, node: HubNode, session: Session) -> None:
        node.sessions.remove(session)
        if node.current is session:
            node.current = None
        group = self._sessions[session.epoch.epoch_id]
        group.remove(session)
        if not group:
            del self._sessions[session.epoch.epoch_id]
        self._session_count -= 1
        self._timers.set(session, None)
        for known in (self._dirty, self._crowded):
            known.pop(session, None)
        node.forget_epoch(session.epoch.opening)

    def _packet(self, data: bytes, path: Hashable, size: int, now: float) -> bool:
        sessions = self._sessions.get(data[1:5])
        if not sessions:
            self._say_unknown(data, path, now)
            return False
        session, counter, plain = self._try(sessions, data)
        record = self._directory.by_id(session.node_id)
        node = self._nodes[session.node_id]
        if record is None or record.revoked:
            return False
        if record.psk != node.record.psk:
            self._forget(session.node_id)
            return False
        node.record = record
        frames = fr.decode(plain)
        session.heard(path, size, counter, now)
        self._dirty[session] = None
        session.arq.heard(now)
        taken = True
        for frame in frames:
            if isinstance(frame, fr.Train):
                session.take_train(frame, path, size, now)
            else:
                taken = self._take(node, session, frame, path, now) and taken
        if taken:
            session.arq.incoming.received(counter, frames, now)
        if session.arq.incoming.missed(frames):
            session.arq.tell_again(now)
        session.tell_time(self._unix_ms(now), now, asked=not taken or any(isinstance(f, fr.Probe) for f in frames))
        self._deliver(node, session, now)
        if session.live:
            node.heard_s = now
            if counter == session.epoch.highest:
                self._live(node, session, now)
                node.note_run(session.epoch.run, now)
            self._seen(node, session, now, fresh=False)
        return True

    def _forget(self, node_id: bytes) -> None:
        """Another machine has taken the node's place: nothing that was open under the old keys goes on."""
        node = self._nodes.pop(node_id)
        for session in list(node.sessions):
            self._drop(node, session)

    def _try(self, sessions: list[Session], data: bytes) -> tuple[Session, int, bytes]:
        refused: seal.SealRefused | None = None
        for session in sessions:
            try:
                counter, plain = session.epoch.open_packet(data)
            except seal.SealRefused as error:
                refused = error
                continue
            return session, counter, plain
        raise refused or seal.SealRefused("no epoch", code="epoch_unknown")

    def _say_unknown(self, data: bytes, path: Hashable, now: float) -> None:
        if len(data) < seal.PACKET_UP_OVERHEAD_BYTES:
            return
        self._say_alone(bytes((seal.TYPE_UNKNOWN_EPOCH,)) + data[1:5] + data[-8:], path, now)

    def _say_alone(self, answer: bytes, path: Hashable, now: float) -> None:
        self._unknown_credit = min(UNKNOWN_PER_S, self._unknown_credit + (now - self._unknown_s) * UNKNOWN_PER_S)
        self._unknown_s = now
        if self._unknown_credit >= 1:
            self._unknown_credit -= 1
            self._alone.append((answer, path))

    def _take(self, node: HubNode, session: Session, frame: fr.Frame, path: Hashable, now: float) -> bool:
        match frame:
            case fr.Frag(kind=fr.KIND_SIGNAL):
                return session.nonce_fresh(frame.nonce, now) and session.arq.incoming.take(frame)
            case fr.Frag(kind=fr.KIND_STATE | fr.KIND_UPDATE):
                return session.live and session.arq.incoming.take(frame)
            case fr.Frag(kind=fr.KIND_BUNDLE):
                return node.takes_bundles and session.arq.incoming.take(frame)
            case fr.Hello():
                session.reads = frame.reads
                if not session.greeted:
                    self._greet(session)
            case fr.Limit():
                session.arq.pace.held, session.arq.pace.bulk_bps = frame.held, frame.bulk_bps
            case fr.Ack() if frame.salt2 == session.salt[:2]:
                session.arq.on_ack(frame, now)
            case fr.Path() if frame.echo:
                if session.prove(path, frame.token, now):
                    self._live(node, session, now)
            case fr.UnlockAsk():
                if session.live and session.nonce_fresh(frame.nonce, now):
                    node.asked = frame.request, session
                    self._events.append(UnlockAsked(node.record.node_id, frame.request))
            case fr.Open():
                node.opening_came(frame.opening, self._keys)
                self._tell(node)
            case fr.DownStored():
                known = node.downs.pop(frame.seq, None)
                session.arq.finish(frame.seq.to_bytes(8, "big") + b"d")
                if known is not None:
                    self._events.append(DownStored(node.record.node_id, frame.seq))
            case _:
                pass
        return True

    def _live(self, node: HubNode, session: Session, now: float) -> None:
        """The node has answered a challenge in this session: it is there now, this is no replay."""
        fresh, session.live = not session.live, True
        if node.current is not session:
            older, node.current = node.current, session
            if older is not None:
                session.arq.adopt(older.arq, (fr.KIND_SIGNAL,), now)
            for seq, (blob, cls) in node.downs.items():
                self._queue_down(session, seq, blob, cls, now)
        if fresh:
            self._seen(node, session, now, fresh=True)

    def _seen(self, node: HubNode, session: Session, now: float, *, fresh: bool) -> None:
        if fresh or now - node.seen_s >= SEEN_EVERY_S:
            node.seen_s = now
            self._events.append(NodeSeen(node.record.node_id, session.epoch.run, session.epoch.grade, fresh))

    def _deliver(self, node: HubNode, session: Session, now: float) -> None:
        arrived, session.arq.incoming.arrived = session.arq.incoming.arrived, []
        for message in arrived:
            if message.kind == fr.KIND_BUNDLE:
                node.bundle(message.body, session, message.number)
                self._tell(node)
                continue
            if message.kind == fr.KIND_STATE:
                if session.epoch.grade is seal.Grade.LOG:
                    self._events.append(StateArrived(node.record.node_id, message.body))
                continue
            if message.kind == fr.KIND_UPDATE:
                self._events.append(UpdateHeard(node.record.node_id, message.body))
                continue
            signal = unpack_signal(message.body)
            if signal is not None:
                session.signal_s = now
                order = node.orders.setdefault(session.epoch.run, SignalOrder())
                while len(node.orders) > SESSIONS_PER_NODE:
                    node.orders.popitem(last=False)
                ready = order.take(signal[0], message.base, signal[1], now)
                self._events.extend(SignalArrived(node.record.node_id, blob) for blob in ready)

    # What leaves.

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Hashable]]:
        """Everything that may leave now, with its path."""
        self._now = max(self._now, now)
        outgoing, self._alone = self._alone, []
        for session in self._timers.due(now + 1e-6):
            self._dirty[session] = None
        for session in list(self._dirty):
            if session.epoch.packets_sealed >= seal.EPOCH_PACKETS:
                # Long before a counter could repeat; the node opens the session anew.
                self._drop(self._nodes[session.node_id], session)
                continue
            self._expire_signals(session, now)
            crowded = not self.has_room(session.active, session.arq.congestion.line_bytes)
            outgoing += session.datagrams(now, crowded=crowded)
            self._crowded.pop(session, None)
            if crowded:
                self._crowded[session] = None
            self._timers.set(session, None if crowded else session.get_timer(now))
        self._dirty.clear()
        return outgoing

    def made_room(self, path: Hashable) -> None:
        """A path that had no room has some, or is gone."""
        for session in [one for one in self._crowded if one.active == path]:
            del self._crowded[session]
            self._dirty[session] = None

    def _expire_signals(self, session: Session, now: float) -> None:
        for message in session.arq.queue.urgent():
            if message.kind == fr.KIND_SIGNAL and message.queued_s + FRESH_S <= now:
                session.arq.finish(message.key)

    def get_timer(self) -> float | None:
        """When ``datagrams_to_send`` has work again, on the clock of ``now``."""
        if self._dirty or self._alone:
            return self._now
        return self._timers.next()

    def next_event(self) -> HubEvent | None:
        """The next thing the application should know, or None."""
        return self._events.popleft() if self._events else None

    def _queue_down(self, session: Session, seq: int, blob: bytes, cls: int, now: float) -> None:
        name = seq.to_bytes(8, "big")
        session.arq.send(fr.KIND_DOWN, cls, name + blob, name + b"d", now)
        self._dirty[session] = None

    def _tell(self, node: HubNode) -> None:
        """Say what the node is owed, in the session it was last heard in; nothing without one."""
        owed, node.owed = node.owed, []
        if owed and node.sessions:
            session = node.spoken
            for frame in owed:
                session.arq.control(frame)
            self._dirty[session] = None

    def _node(self, node_id: bytes) -> HubNode | None:
        node = self._nodes.get(node_id)
        if node is None:
            record = self._directory.by_id(node_id)
            if record is None:
                return None
            node = self._nodes[node_id] = HubNode(record, self._events)
        return node

    def _unix_ms(self, now: float) -> int:
        return max(int((now + self.unix_offset_s) * 1000), 0)

    def _latest(self, now: float | None) -> float:
        """The caller's time, or the last one heard."""
        if now is not None:
            self._now = max(self._now, now)
        return self._now


def _hub_key_of(keys: seal.HubKeys) -> hubkey.HubKey | None:
    return hubkey.sign_key(keys.sign, keys.made_ms, seal.public_of(keys.kem[0])) if keys.made_ms else None
