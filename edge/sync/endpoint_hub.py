"""The hub's end of all links: who speaks, on which path, and what is owed to whom. Without I/O.

Believes nothing before a MAC; does no public-key work before it; sends an address that has not proved
itself never more bytes than came from there. Nodes are found by the directory, from memory.
"""

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from . import frames as fr
from . import hubkey, seal
from .arq import Arq
from .congestion import DelayAimd
from .faults import point
from .frontier import Frontier
from .inbox import Gap, Piece, Rejected, Verdict, judge, place
from .link import (
    ATTENDED_KEEPALIVE_S,
    KEEPALIVE_S,
    BundleArrived,
    BundleQuarantined,
    ChunkArrived,
    Cls,
    Directory,
    DownStored,
    HubEvent,
    LinkState,
    NodeSeen,
    NodeTwice,
    SignalArrived,
    StateArrived,
    online_limit_s,
)
from .session import Session
from .signals import FRESH_S, SignalOrder, pack_signal, unpack_signal
from .versions import FIRST, OURS, Reads, common_level

SESSIONS_PER_NODE = 4
SESSIONS_MAX = 4_096
EPOCHS_PER_NODE = 64
STORED_REMEMBERED = 4_096
LOGS_REMEMBERED = 256
"""Logs per node of which it is known in RAM what is durable (to name what is missing)."""
OFFERED_MAX = 256
"""Bundles per node that the application has not stored yet; more are not acknowledged, so that the node slows down."""
WAITING_MAX = 16
"""Bundles per node that wait for the opening of their epoch."""
COLLISIONS_MAX = 4
SEEN_EVERY_S = 5.0
TWICE_AFTER_S = 60.0
"""A process that is heard so long after its successor came is no late packet: two are alive."""
TWICE_EVERY_S = 600.0
RUNS_REMEMBERED = 16
UNKNOWN_PER_S = 50.0
"""Answers to packets of unknown epochs, all addresses together."""


class _Node:
    """What the hub keeps in RAM about one node; all of it can be lost."""

    def __init__(self, record: seal.NodeRecord) -> None:
        self.record = record
        self.epochs: OrderedDict[bytes, seal.OpenedEpoch] = OrderedDict()
        self.sessions: list[Session] = []
        self.current: Session | None = None
        self.offered: set[bytes] = set()
        self.stored: OrderedDict[bytes, int] = OrderedDict()
        self.waiting: OrderedDict[bytes, bytes] = OrderedDict()
        self.held: OrderedDict[tuple[bytes, int], Frontier] = OrderedDict()
        self.numbers: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        """The salt of the session in which a bundle last came, and its number there."""
        self.places: dict[bytes, tuple[bytes, int, int, int]] = {}
        self.downs: dict[int, tuple[bytes, int]] = {}
        self.orders: OrderedDict[bytes, SignalOrder] = OrderedDict()
        self.signals = 0
        self.states = 0
        self.heard_s: float | None = None
        self.seen_s = float("-inf")
        self.runs: OrderedDict[bytes, float] = OrderedDict()
        """Processes of the node in the order in which they proved to be there, and when."""
        self.twice_s = float("-inf")


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
        self._nodes: dict[bytes, _Node] = {}
        self._sessions: dict[bytes, list[Session]] = {}
        self._events: deque[HubEvent] = deque()
        self._alone: list[tuple[bytes, Hashable]] = []
        self._dirty: dict[Session, None] = {}
        self._timers: dict[Session, float] = {}
        self._unknown_credit = UNKNOWN_PER_S
        self._unknown_s = now

    # What the application says.

    def bundle_stored(self, node_id: bytes, bundle_id: bytes, level: int = 1, *, quarantined: bool = False) -> None:
        """The bundle is durable (fsynced: level 1; in a second copy: level 2): acknowledge it."""
        node = self._node(node_id)
        if node is None:
            return
        point("hub.before_ack")
        node.offered.discard(bundle_id)
        wire = level | (fr.QUARANTINED if quarantined else 0)
        node.stored[bundle_id] = wire
        while len(node.stored) > STORED_REMEMBERED:
            node.stored.popitem(last=False)
        place = node.places.pop(bundle_id, None)
        if place is not None:
            run, stream, first, count = place
            node.held.setdefault((run, stream), Frontier()).add(first, count)
            while len(node.held) > LOGS_REMEMBERED:
                node.held.popitem(last=False)
        self._say_stored(node, bundle_id)

    def bundle_failed(self, node_id: bytes, bundle_id: bytes) -> None:
        """The bundle could not be stored (a full disk): offer it again when the node repeats it."""
        node = self._nodes.get(node_id)
        if node is not None:
            node.offered.discard(bundle_id)
            node.places.pop(bundle_id, None)

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

    def send_signal(self, node_id: bytes, blob: bytes, now: float | None = None) -> bool:
        """Send a call signal of at most 32 kB; given up after 30 s. False when the node has no session.

        Raises BadInput for a larger one.
        """
        node = self._node(node_id)
        if node is None or node.current is None:
            return False
        node.signals += 1
        body = pack_signal(node.signals, blob)
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

    def ask_reseal(self, node_id: bytes, bundle_id: bytes) -> None:
        """The bundle can never be opened here: ask the node to seal its entries anew."""
        node = self._node(node_id)
        if node is not None:
            self._owe(node, fr.Reseal(bundle_id))

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

    def receive(self, data: bytes, path: Hashable, now: float) -> None:
        """A datagram came from ``path``. Never raises: what cannot be believed is dropped."""
        self._now = max(self._now, now)
        size = len(data)
        try:
            if data[:1] == bytes((seal.TYPE_OPENING,)):
                self._meet_or_tell(data, path, now)
                data = data[seal.OPENING_BYTES :]
            if data[:1] == bytes((seal.TYPE_PACKET_UP,)):
                self._packet(data, path, size, now)
        except (seal.SealRefused, fr.FrameRefused):
            return

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
        while len(node.sessions) > SESSIONS_PER_NODE:
            stale = min((s for s in node.sessions if s is not session), key=lambda s: (s is node.current, s.heard_s))
            self._drop(node, stale)
        if sum(map(len, self._sessions.values())) > SESSIONS_MAX:
            oldest = min((s for group in self._sessions.values() for s in group), key=lambda s: s.heard_s)
            self._drop(self._nodes[oldest.node_id], oldest)

    def _greet(self, session: Session) -> None:
        session.greeted = True
        session.arq.control(fr.Hello(OURS))

    def _open(self, opening: bytes) -> tuple[_Node, seal.OpenedEpoch]:
        candidates = list(self._directory.by_hint(seal.opening_hint(opening)))[:COLLISIONS_MAX]
        for record in candidates:
            if seal.opening_is_from(opening, record.psk):
                node = self._nodes.get(record.node_id)
                epoch = node.epochs.get(opening) if node else None
                if epoch is None:
                    epoch = seal.open_opening(opening, self._keys, record)
                node = self._nodes.setdefault(record.node_id, _Node(record))
                self._remember(node, epoch)
                return node, epoch
        raise seal.SealRefused("an opening of no node we know", code="node_unknown")

    def _remember(self, node: _Node, epoch: seal.OpenedEpoch) -> None:
        node.epochs[epoch.opening] = epoch
        node.epochs.move_to_end(epoch.opening)
        while len(node.epochs) > EPOCHS_PER_NODE:
            node.epochs.popitem(last=False)

    def _drop(self, node: _Node, session: Session) -> None:
        node.sessions.remove(session)
        if node.current is session:
            node.current = None
        group = self._sessions[session.epoch.epoch_id]
        group.remove(session)
        if not group:
            del self._sessions[session.epoch.epoch_id]
        self._dirty.pop(session, None)
        self._timers.pop(session, None)
        node.epochs.pop(session.epoch.opening, None)

    def _packet(self, data: bytes, path: Hashable, size: int, now: float) -> None:
        sessions = self._sessions.get(data[1:5])
        if not sessions:
            self._say_unknown(data, path, now)
            return
        session, counter, plain = self._try(sessions, data)
        record = self._directory.by_id(session.node_id)
        node = self._nodes[session.node_id]
        if record is None or record.revoked:
            return
        if record.psk != node.record.psk:
            self._forget(session.node_id)
            return
        node.record = record
        frames = fr.decode(plain)
        session.heard(path, size, counter, now)
        self._dirty[session] = None
        session.arq.heard(now)
        taken = True
        for frame in frames:
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
                self._note_run(node, session.epoch.run, now)
            self._seen(node, session, now, fresh=False)

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

    def _take(self, node: _Node, session: Session, frame: fr.Frame, path: Hashable, now: float) -> bool:
        match frame:
            case fr.Frag(kind=fr.KIND_SIGNAL):
                return session.nonce_fresh(frame.nonce, now) and session.arq.incoming.take(frame)
            case fr.Frag(kind=fr.KIND_STATE):
                return session.live and session.arq.incoming.take(frame)
            case fr.Frag(kind=fr.KIND_BUNDLE):
                return len(node.offered) < OFFERED_MAX and session.arq.incoming.take(frame)
            case fr.Hello():
                session.reads = frame.reads
                if not session.greeted:
                    self._greet(session)
            case fr.Limit():
                session.arq.held, session.arq.bulk_bps = frame.held, frame.bulk_bps
            case fr.Ack() if frame.salt2 == session.salt[:2]:
                session.arq.on_ack(frame, now)
            case fr.Path() if frame.echo:
                if session.prove(path, frame.token, now):
                    self._live(node, session, now)
            case fr.Open():
                self._old_opening(node, frame.opening, now)
            case fr.DownStored():
                known = node.downs.pop(frame.seq, None)
                session.arq.finish(frame.seq.to_bytes(8, "big") + b"d")
                if known is not None:
                    self._events.append(DownStored(node.record.node_id, frame.seq))
            case _:
                pass
        return True

    def _live(self, node: _Node, session: Session, now: float) -> None:
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

    def _note_run(self, node: _Node, run: bytes, now: float) -> None:
        """A process of the node speaks now. One that has a successor should long have fallen silent."""
        if run not in node.runs:
            node.runs[run] = now
            while len(node.runs) > RUNS_REMEMBERED:
                node.runs.popitem(last=False)
        newest, since_s = next(reversed(node.runs.items()))
        if newest != run and now - since_s >= TWICE_AFTER_S and now - node.twice_s >= TWICE_EVERY_S:
            node.twice_s = now
            self._events.append(NodeTwice(node.record.node_id, run, newest))

    def _seen(self, node: _Node, session: Session, now: float, *, fresh: bool) -> None:
        if fresh or now - node.seen_s >= SEEN_EVERY_S:
            node.seen_s = now
            self._events.append(NodeSeen(node.record.node_id, session.epoch.run, session.epoch.grade, fresh))

    def _old_opening(self, node: _Node, opening: bytes, now: float) -> None:
        try:
            if opening not in node.epochs:
                self._remember(node, seal.open_opening(opening, self._keys, node.record))
        except seal.SealRefused as error:
            if error.refusal.code == "hub_key_gone":
                epoch_id = seal.epoch_id_of(opening)
                for bundle_id in [b for b in node.waiting if b[:4] == epoch_id]:
                    del node.waiting[bundle_id]
                    self._owe(node, fr.Reseal(bundle_id))
            return
        for bundle_id, sealed in list(node.waiting.items()):
            if bundle_id[:4] == seal.epoch_id_of(opening):
                self._bundle(node, sealed, last=True)

    def _deliver(self, node: _Node, session: Session, now: float) -> None:
        arrived, session.arq.incoming.arrived = session.arq.incoming.arrived, []
        for message in arrived:
            if message.kind == fr.KIND_BUNDLE:
                with contextlib.suppress(seal.SealRefused):
                    node.numbers[seal.bundle_id(message.body)] = (session.salt, message.number)
                while len(node.numbers) > STORED_REMEMBERED:
                    node.numbers.popitem(last=False)
                self._bundle(node, message.body)
                continue
            if message.kind == fr.KIND_STATE:
                if session.epoch.grade is seal.Grade.LOG:
                    self._events.append(StateArrived(node.record.node_id, message.body))
                continue
            signal = unpack_signal(message.body)
            if signal is not None:
                session.signal_s = now
                order = node.orders.setdefault(session.epoch.run, SignalOrder())
                while len(node.orders) > SESSIONS_PER_NODE:
                    node.orders.popitem(last=False)
                ready = order.take(signal[0], message.base, signal[1], now)
                self._events.extend(SignalArrived(node.record.node_id, blob) for blob in ready)

    def _bundle(self, node: _Node, sealed: bytes, *, last: bool = False) -> None:
        """A whole bundle: acknowledge again, offer to the application, or wait for its opening.

        ``last``: its opening was asked for and has come; what does not open now is damaged.
        """
        try:
            bundle_id = seal.bundle_id(sealed)
        except seal.SealRefused:
            return
        if bundle_id in node.stored:
            self._say_stored(node, bundle_id)
            return
        if bundle_id in node.offered:
            return
        epochs = [epoch for epoch in node.epochs.values() if epoch.epoch_id == bundle_id[:4]][:COLLISIONS_MAX]
        for epoch in epochs:
            try:
                packed = epoch.open_bundle(sealed)
            except seal.SealRefused:
                continue
            self._offer(node, epoch.grade, bundle_id, sealed, judge(packed, epoch.grade, None), packed)
            return
        if last and epochs:
            self._offer(node, epochs[0].grade, bundle_id, sealed, Rejected("bundle_refused"))
            return
        node.waiting[bundle_id] = sealed
        while len(node.waiting) > WAITING_MAX:
            node.waiting.popitem(last=False)
        self._owe(node, fr.Wanted(bundle_id[:4]))

    def _offer(
        self,
        node: _Node,
        grade: seal.Grade,
        bundle_id: bytes,
        sealed: bytes,
        verdict: Verdict | Piece,
        packed: bytes = b"",
    ) -> None:
        node.waiting.pop(bundle_id, None)
        node.offered.add(bundle_id)
        node_id = node.record.node_id
        if isinstance(verdict, Rejected):
            self._events.append(BundleQuarantined(node_id, bundle_id, grade, verdict.reason, sealed, packed))
            return
        if isinstance(verdict, Piece):
            self._events.append(ChunkArrived(node_id, bundle_id, grade, verdict.chunk, sealed))
            return
        payload = verdict.payload
        held = node.held.get((payload.run, payload.stream))
        placed = place(payload, held) if held is not None else None
        hole = (placed.first, placed.last) if isinstance(placed, Gap) else None
        node.places[bundle_id] = (payload.run, payload.stream, payload.first_seq, len(payload.entries))
        self._events.append(BundleArrived(node_id, bundle_id, grade, payload, sealed, hole))

    # What leaves.

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Hashable]]:
        """Everything that may leave now, with its path."""
        self._now = max(self._now, now)
        outgoing, self._alone = self._alone, []
        for session, due_s in list(self._timers.items()):
            if due_s <= now + 1e-6:
                self._dirty[session] = None
        for session in list(self._dirty):
            if session.epoch.packets_sealed >= seal.EPOCH_PACKETS:
                # Long before a counter could repeat; the node opens the session anew.
                self._drop(self._nodes[session.node_id], session)
                continue
            self._expire_signals(session, now)
            outgoing += session.datagrams(now)
            timer = session.get_timer(now)
            if timer is None:
                self._timers.pop(session, None)
            else:
                self._timers[session] = timer
        self._dirty.clear()
        return outgoing

    def _expire_signals(self, session: Session, now: float) -> None:
        for message in session.arq.queue.urgent():
            if message.kind == fr.KIND_SIGNAL and message.queued_s + FRESH_S <= now:
                session.arq.finish(message.key)

    def get_timer(self) -> float | None:
        """When ``datagrams_to_send`` has work again, on the clock of ``now``."""
        if self._dirty or self._alone:
            return self._now
        return min(self._timers.values(), default=None)

    def next_event(self) -> HubEvent | None:
        """The next thing the application should know, or None."""
        return self._events.popleft() if self._events else None

    def _queue_down(self, session: Session, seq: int, blob: bytes, cls: int, now: float) -> None:
        name = seq.to_bytes(8, "big")
        session.arq.send(fr.KIND_DOWN, cls, name + blob, name + b"d", now)
        self._dirty[session] = None

    def _owe(self, node: _Node, frame: fr.Frame) -> None:
        """Say something to the node in the session it was last heard in."""
        if node.sessions:
            session = _spoken(node)
            session.arq.control(frame)
            self._dirty[session] = None

    def _say_stored(self, node: _Node, bundle_id: bytes) -> None:
        """By the number under which it came, where the node knows that."""
        salt, number = node.numbers.pop(bundle_id, (b"", 0))
        level = node.stored[bundle_id]
        if node.sessions and _spoken(node).salt == salt:
            self._owe(node, fr.StoredHere(level, ((number, number),)))
        else:
            self._owe(node, fr.Stored(bundle_id, level))

    def _node(self, node_id: bytes) -> _Node | None:
        node = self._nodes.get(node_id)
        if node is None:
            record = self._directory.by_id(node_id)
            if record is None:
                return None
            node = self._nodes[node_id] = _Node(record)
        return node

    def _unix_ms(self, now: float) -> int:
        return max(int((now + self.unix_offset_s) * 1000), 0)

    def _latest(self, now: float | None) -> float:
        """The caller's time, or the last one heard."""
        if now is not None:
            self._now = max(self._now, now)
        return self._now


def _spoken(node: _Node) -> Session:
    """The session in which the node was last heard."""
    return max(node.sessions, key=lambda session: session.heard_s)


def _hub_key_of(keys: seal.HubKeys) -> hubkey.HubKey | None:
    return hubkey.sign_key(keys.sign, keys.made_ms, seal.public_of(keys.kem[0])) if keys.made_ms else None
