"""Between the link's endpoint and the store: nothing is acknowledged before its commit.

Takes the endpoint's events, writes them, answers the endpoint. Knows no socket: whoever runs the
endpoint hands its events to :meth:`Link.take` and is woken through ``wake``.
"""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import Connection, update

from edge.sync import faults, holdings
from edge.sync import locked as locked_sync
from edge.sync.endpoint import HubEndpoint
from edge.sync.link import (
    BundleArrived,
    BundleQuarantined,
    ChunkArrived,
    DownStored,
    HubEvent,
    NodeSeen,
    NodeTwice,
    SignalArrived,
    StateArrived,
    UnlockAsked,
    UpdateHeard,
)
from edge.sync.seal import NodeRecord
from edge.web.logs import say
from edge.web.refusals import failure_of

from . import blob_rows, down, giving, locked, returns, unlocks
from . import fanout as fan
from .blobs import Blobs
from .directory import NodeDirectory
from .keys import Keyring
from .peers import Peers
from .quarantine import QuarantineFull
from .receive import Received, receive_bundle, receive_poison
from .store.copy import Copier
from .store.engine import Store
from .store.schema import nodes

logger = logging.getLogger("hub.link")
_Uncopied: TypeAlias = tuple[int, bytes, bytes, bool, str]
"""Change, node, bundle, whether it is in quarantine, the blob of a chunk."""
SEEN_WRITE_MS = 30_000
SIGNALS_WAITING_MAX = 1000
FULL_SAID_EVERY_S = 60.0
"""A full disk is named so often, whatever comes: the log may lie on it."""
COPY_MOMENT_S = 0.03
COPY_PATIENCE_S = 1.0
UNCOPIED_MAX = 20_000
"""Names of bundles that wait for the second copy. Of older ones the node hears at its next meeting."""
STATE_CLASS, LONG_STATE_CLASS = 1, 3
LONG_STATE_BYTES = 2048
STATES_AT_WORK = 4
"""Of one node. What comes beyond is not answered; the node asks anew when it meets the hub again."""


class Link:
    """The application's side of all node links of this process."""

    def __init__(
        self,
        endpoint: HubEndpoint,
        store: Store,
        directory: NodeDirectory,
        speaker: down.Speaker,
        wall_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        copier: Copier | None = None,
    ) -> None:
        self._copier = copier
        self.endpoint = endpoint
        self._store = store
        self._directory = directory
        self._speaker = speaker
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self.fanout: fan.Fanout = fan.Alone()
        self.peers = Peers(monotonic_s)
        """Other processes of this hub."""
        self.wake: Callable[[], None] = lambda: None
        """Set by the runner: the endpoint has something to send."""
        self.on_visits: Callable[[frozenset[str]], None] = lambda visit_ids: None
        self.on_update: Callable[[bytes, bytes], None] = lambda node_id, body: None
        """Given by whoever offers updates."""
        self.blobs: Blobs | None = None
        """Told of what may have become whole."""
        self.signals: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(SIGNALS_WAITING_MAX)
        """What nodes signalled, in order, for :class:`hub.live.Live`."""
        self._full_s = float("-inf")
        self._seen_ms: dict[bytes, int] = {}
        self._givings: dict[bytes, int] = {}
        """Answers that were given to each node's holdings so far."""
        self._one_giving: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)
        """A node's logs are not compared between a piece's packing and its commit: it would be sent twice."""
        self._one_reading = asyncio.Semaphore(1)
        """Of the store's readers, so many compare and pack; doctors have the others."""
        self._states: Counter[bytes] = Counter()
        """Messages about what is held that are being answered, by node."""
        self._left: dict[bytes, holdings.Held] = {}
        """What each node lacks and is not sent back, so that it is not compared anew at each meeting."""
        self._uncopied: deque[_Uncopied] = deque(maxlen=UNCOPIED_MAX)
        self._copying: asyncio.Task[None] | None = None
        self._at_work: set[asyncio.Task[None]] = set()

    # What the hub says

    def online(self, node_id: str) -> bool:
        """Whether the node was heard lately."""
        return self._hears(bytes.fromhex(node_id)) or self.peers.online(node_id)

    def nodes_heard(self) -> list[bytes]:
        """Nodes that this process speaks with at present."""
        return self.endpoint.online(self._monotonic_s())

    def _hears(self, node_id: bytes) -> bool:
        return self.endpoint.presence(node_id, self._monotonic_s()).online

    def last_ack_age_s(self, node_id: str) -> float | None:
        """Seconds since the node was heard; None for never."""
        age_s = self.endpoint.presence(bytes.fromhex(node_id), self._monotonic_s()).last_ack_age_s
        seen_ms = self._directory.site(node_id).seen_ms  # by any process of this hub, and before a restart
        if seen_ms:
            age_s = min(age_s, max(self._wall_ms() - seen_ms, 0) / 1000)
        return None if age_s == float("inf") else round(age_s, 1)

    def send_signal(self, node_id: bytes, blob: bytes) -> None:
        """Pass a call signal on, through another process where that one speaks with the node."""
        if not self._hears(node_id):
            self.fanout.say(fan.ToNode(node_id, blob))
        self.send_signal_here(node_id, blob)

    def send_signal_here(self, node_id: bytes, blob: bytes) -> None:
        """Pass a call signal on if this process speaks with the node, or did last."""
        self.endpoint.send_signal(node_id, blob, self._monotonic_s())
        self.wake()

    async def answer_locked(self, node_id: bytes, signal: bytes) -> None:
        """A locked node asks how the emergencies of its process stand. What does not hold is dropped."""
        try:
            asked = locked_sync.decode(signal)
        except locked_sync.LockedRefused:
            say(logger, "signal_malformed", logging.WARNING, node_id=node_id.hex())
            return
        run, record = self.endpoint.locked_run(node_id), self._directory.by_id(node_id)
        if isinstance(asked, locked_sync.AskAnswers) and run is not None and record is not None and not record.revoked:
            about = asked
            for one in await self._store.read(lambda connection: locked.answers(connection, node_id, run, about)):
                self.send_signal(node_id, locked_sync.encode(one))

    def send_down(self, blob: down.DownBlob) -> None:
        """Send a committed down blob until the node holds it; one for a home site is where it belongs already."""
        if not blob.blob:
            return
        faults.point("hub-before-send-down")
        if self.fanout.alone or self.endpoint.meets(blob.node_id):
            self._send_down_here(blob)
        self.fanout.say(fan.DownMade(blob.node_id, blob.seq))

    def _send_down_here(self, blob: down.DownBlob) -> None:
        self.endpoint.send_down(blob.node_id, blob.seq, blob.blob, blob.cls, self._monotonic_s())
        self.wake()

    async def down_made(self, node_id: bytes, seq: int) -> None:
        """Another process has something for a node: say it, if this one speaks with it."""
        if not self.endpoint.meets(node_id):
            return
        for blob in await self._store.read(lambda connection: down.waiting(connection, node_id, seq)):
            self._send_down_here(blob)

    async def send_waiting(self) -> None:
        """What nodes that this process speaks with still lack: another process's word about it may have been lost."""
        lacking = await self._store.read(down.lacking)
        for node_id in self.nodes_heard():
            if node_id in lacking:
                for blob in await self._store.read(_waiting_of(node_id)):
                    self._send_down_here(blob)

    # What the endpoint says

    async def take(self, event: HubEvent) -> None:
        """Take an event; its work goes on in a task, so that many bundles share a commit."""
        if isinstance(event, SignalArrived):
            self._take_signal(event)
            return
        if isinstance(event, UpdateHeard):
            self.on_update(event.node_id, event.body)
            return
        if isinstance(event, StateArrived) and not self._state_begins(event.node_id):
            return
        task = asyncio.get_running_loop().create_task(self._try(event))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _try(self, event: HubEvent) -> None:
        try:
            await self._handle(event)
        except QuarantineFull as error:
            self._not_taken(event)
            await self._notice(event.node_id, error.refusal.code, 1, total=True)
        except blob_rows.LooseLimit as error:
            self._not_taken(event)
            say(logger, error.refusal.code, logging.WARNING, node_id=event.node_id.hex())
        except Exception as error:
            self._not_taken(event)
            if failure_of(error).code != "storage_full":
                logger.exception("event failed")
            elif self._monotonic_s() - self._full_s >= FULL_SAID_EVERY_S:
                self._full_s = self._monotonic_s()
                say(logger, "storage_full", logging.ERROR)

    def _not_taken(self, event: HubEvent) -> None:
        """Not acknowledged, so the node keeps it and offers it again."""
        if isinstance(event, BundleArrived | ChunkArrived | BundleQuarantined):
            self.endpoint.bundle_failed(event.node_id, event.bundle_id)

    def _state_begins(self, node_id: bytes) -> bool:
        """Comparing is the dearest thing a node can ask for: only so much of it at the same time."""
        if self._states[node_id] >= STATES_AT_WORK:
            say(logger, "state_crowded", logging.WARNING, node_id=node_id.hex())
            return False
        self._states[node_id] += 1
        return True

    def _take_signal(self, event: SignalArrived) -> None:
        try:
            self.signals.put_nowait((event.node_id, event.blob))
        except asyncio.QueueFull:
            say(logger, "signals_dropped", logging.WARNING, node_id=event.node_id.hex())

    async def _handle(self, event: HubEvent) -> None:
        match event:
            case BundleArrived() | ChunkArrived() | BundleQuarantined():
                await self.receive(event)
            case DownStored():
                node_id, seq = event.node_id, event.seq
                await self._store.write(lambda connection: down.mark_stored(connection, node_id, seq, self._wall_ms()))
                self.fanout.say(fan.DownHeld(node_id, seq))
            case NodeSeen():
                await self._seen(event)
            case StateArrived(node_id, body):
                try:
                    await self._hear_state(node_id, body)
                finally:
                    self._states[node_id] -= 1
            case NodeTwice():
                await self._twice(event)
            case UnlockAsked(node_id, request):
                keys, now_ms = self._speaker.keys, self._wall_ms()
                told = await self._store.write(lambda c: unlocks.asked(c, keys, node_id, request, now_ms))
                self.endpoint.tell_unlock(node_id, request, told.state, told.secret)
                self.wake()
            case _:
                return

    async def receive(
        self, event: BundleArrived | ChunkArrived | BundleQuarantined, machine: NodeRecord | None = None
    ) -> Received | None:
        """Store a bundle, whatever brought it, and acknowledge it on the link. None: its node is not known.

        ``machine``: the keys of the machine that sealed it, where that is not the one that stands for the node now.

        When this returns, the bundle is durable.
        """
        if isinstance(event, BundleQuarantined):
            poison = event
            taken = await self._store.write(
                lambda connection: receive_poison(connection, self._speaker.keys, poison, self._wall_ms())
            )
        elif isinstance(event, ChunkArrived):
            piece = event
            taken = await self._store.write(
                lambda connection: blob_rows.take_chunk(connection, self._speaker.keys, piece, self._wall_ms())
            )
        else:
            arrived, record = event, machine or self._directory.by_id(event.node_id)
            if record is None:
                return None
            known = record
            taken = await self._store.write(
                lambda connection: _receive(connection, self._speaker.keys, arrived, known, self._wall_ms())
            )
        await self._acknowledge(event, taken)
        if self.blobs is not None and isinstance(event, ChunkArrived) and taken.fresh:
            await self.blobs.settle(event.node_id.hex(), event.chunk.blob_id)
        elif self.blobs is not None and taken.visit_ids:
            await self.blobs.settle_visits(taken.visit_ids)
        return taken

    async def _acknowledge(self, event: BundleArrived | ChunkArrived | BundleQuarantined, taken: Received) -> None:
        """Level 1 now, level 2 when the second copy has it: at once, if that takes no longer than a moment."""
        faults.point("hub-before-ack")
        aside, lsn = bool(taken.quarantined), self._store.lsn
        blob_id = event.chunk.blob_id if isinstance(event, ChunkArrived) else ""
        copied = await self.is_copied(lsn, COPY_MOMENT_S) and self._blob_copied(event.node_id, blob_id)
        self.endpoint.bundle_stored(event.node_id, event.bundle_id, 2 if copied else 1, quarantined=aside)
        self.wake()
        if not copied and self._copier is not None:
            self._uncopied.append((lsn, event.node_id, event.bundle_id, aside, blob_id))
            if self._copying is None or self._copying.done():
                self._copying = asyncio.get_running_loop().create_task(self._acknowledge_copies(self._copier))
        if taken.visit_ids:
            self.on_visits(taken.visit_ids)

    async def is_copied(self, lsn: int, timeout_s: float | None) -> bool:
        """Whether a change is in the second copy, or comes there within the time. Never without a second copy."""
        return self._copier is not None and await self._copier.reached(lsn, timeout_s)

    def _blob_copied(self, node_id: bytes, blob_id: str) -> bool:
        """A chunk lies in the database's second copy until its blob has one of its own; one that came again may not."""
        if not blob_id:
            return True
        return self.blobs is not None and self.blobs.copy.holds(node_id.hex(), blob_id)

    async def level_now(self) -> int:
        """The level of everything that was committed until now."""
        return 2 if await self.is_copied(self._store.lsn, COPY_PATIENCE_S) else 1

    async def _acknowledge_copies(self, copier: Copier) -> None:
        """Level 2 for what waits, as the second copy goes on; however long that is dead, only names wait here."""
        while self._uncopied:
            await copier.reached(self._uncopied[0][0])
            while self._uncopied and self._uncopied[0][0] <= copier.held:
                _, node_id, bundle_id, aside, blob_id = self._uncopied.popleft()
                if self._blob_copied(node_id, blob_id):
                    self.endpoint.bundle_stored(node_id, bundle_id, 2, quarantined=aside)
            self.wake()

    async def _seen(self, event: NodeSeen) -> None:
        now_ms = self._wall_ms()
        if event.fresh:
            for blob in await self._store.read(lambda connection: down.waiting(connection, event.node_id)):
                self.send_down(blob)
            if self.blobs is not None:
                await self.blobs.node_seen(event.node_id.hex())
            self.on_visits(frozenset())
        if now_ms - self._seen_ms.get(event.node_id, 0) < SEEN_WRITE_MS:
            return
        self._seen_ms[event.node_id] = now_ms

        def act(connection: Connection) -> None:
            connection.execute(update(nodes).where(nodes.c.node_id == event.node_id.hex()).values(seen_ms=now_ms))

        await self._store.write(act)

    async def _hear_state(self, node_id: bytes, body: bytes) -> None:
        """A node says what it holds: answer what is lacking here, send what is lacking there."""
        try:
            message = holdings.decode(body)
        except holdings.HoldingsRefused:
            say(logger, "state_refused", logging.WARNING, node_id=node_id.hex())
            return
        record = self._directory.by_id(node_id)
        if record is None:
            return
        now_ms = self._wall_ms()
        if isinstance(message, holdings.Notice):
            code, count = message.code, max(0, min(message.count, 1 << 40))
            if code == holdings.GONE:
                await self._notice(node_id, code, count, total=True)
        elif isinstance(message, holdings.Holdings):
            await self._compare(node_id, message, now_ms)

    async def _compare(self, node_id: bytes, told: holdings.Holdings, now_ms: int) -> None:
        """Reads only, beside the writer: after an outage of a whole region all nodes ask at the same time.

        What the node sent before it asked counts as held, so that it is written first.
        """
        number = self._givings[node_id] = self._givings.get(node_id, 0) + 1
        left = self._left.get(node_id)
        name = node_id.hex()
        await self._store.settled()
        async with self._one_giving[node_id], self._one_reading:
            found = await self._store.read(lambda connection: returns.answer(connection, name, told, now_ms, left))
        if returns.is_news(found):
            await self._store.write(lambda connection: returns.audit_answer(connection, name, found, now_ms))
        if found.left is not None:
            self._left[node_id] = found.left
        reply = found.message
        if isinstance(reply, holdings.Wanted):
            copied = found.complete and await self.level_now() == 2
            media = copied and not reply.spans and self.blobs is not None
            media = media and self.blobs is not None and await self.blobs.are_copied(name)
            reply = holdings.Wanted(reply.spans, copied, media, told.question)
        self.send_state(node_id, reply)
        await self._give_back(node_id, found.pieces, number)

    async def _give_back(self, node_id: bytes, pieces: tuple[giving.Piece, ...], number: int) -> None:
        """Pack, seal and send what the node lacks, each piece in a transaction of its own: others are written between.

        A later answer to the same node has a plan of its own: this one ends before that is made, and what it has begun
        is on its way by then.
        """
        for piece in pieces:
            async with self._one_giving[node_id]:
                record = self._directory.by_id(node_id)  # another machine may have taken the node's place
                if record is None or self._givings.get(node_id) != number:
                    return
                async with self._one_reading:
                    packed = await self._store.read(_packer(self._speaker, record, piece))
                if packed is None:
                    continue
                blob = await self._store.write(_sealer(self._speaker, record, packed, self._wall_ms()))
                self.send_down(blob)

    def send_state(self, node_id: bytes, message: holdings.Message) -> None:
        """Say something about what is held, in the node's present session."""
        body = holdings.encode(message)
        cls = STATE_CLASS if len(body) <= LONG_STATE_BYTES else LONG_STATE_CLASS
        self.endpoint.send_state(node_id, body, cls, self._monotonic_s())
        self.wake()

    async def _notice(self, node_id: bytes, code: str, count: int, *, total: bool = False) -> None:
        now_ms = self._wall_ms()
        if await self._store.write(
            lambda connection: returns.put_notice(connection, node_id.hex(), code, count, now_ms, total=total)
        ):
            say(logger, code, logging.ERROR, node_id=node_id.hex(), count=count)

    async def _twice(self, event: NodeTwice) -> None:
        """Two machines speak as one node: a person has to find the copy; both are told, and given what they lack."""
        await self._notice(event.node_id, holdings.NODE_TWICE, 1)
        self.send_state(event.node_id, holdings.Notice(holdings.NODE_TWICE, 1))
        self.send_state(event.node_id, holdings.AskAll())

    async def close(self) -> None:
        """Finish what was taken; what waits for the second copy is acknowledged another time."""
        if self._copying is not None:
            self._copying.cancel()
            await asyncio.gather(self._copying, return_exceptions=True)
        await asyncio.gather(*self._at_work, return_exceptions=True)


def _packer(
    speaker: down.Speaker, record: NodeRecord, piece: giving.Piece
) -> Callable[[Connection], giving.Packed | None]:
    return lambda connection: giving.pack_piece(connection, speaker, record, piece)


def _waiting_of(node_id: bytes) -> Callable[[Connection], list[down.DownBlob]]:
    return lambda connection: down.waiting(connection, node_id)


def _sealer(
    speaker: down.Speaker, record: NodeRecord, packed: giving.Packed, now_ms: int
) -> Callable[[Connection], down.DownBlob]:
    return lambda connection: giving.seal_piece(connection, speaker, record, packed, now_ms)


def _receive(
    connection: Connection, keys: Keyring, arrived: BundleArrived, record: NodeRecord, now_ms: int
) -> Received:
    """Store a bundle's entries, and what they say about blobs."""
    taken = receive_bundle(connection, arrived, record, keys, now_ms)
    blob_rows.note(connection, keys, arrived.node_id.hex(), taken.visit_ids, now_ms)
    return taken
