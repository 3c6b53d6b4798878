"""What the hub keeps in RAM about one node, and what becomes of the bundles that come from it. Without I/O.

All of it can be lost: a bundle that was not called durable comes again. Knows sessions, no address and no timer.
"""

import contextlib
from collections import OrderedDict, deque

from . import frames as fr
from . import seal
from .frontier import Frontier
from .inbox import Gap, Piece, Rejected, Verdict, judge, place
from .link import BundleArrived, BundleQuarantined, ChunkArrived, HubEvent, NodeTwice
from .session import Session
from .signals import SignalOrder

EPOCHS_PER_NODE = 64
STORED_REMEMBERED = 4_096
LOGS_REMEMBERED = 256
"""Logs per node of which it is known in RAM what is durable (to name what is missing)."""
OFFERED_MAX = 256
"""Bundles per node that the application has not stored yet; more are not acknowledged, so that the node slows down."""
WAITING_MAX = 16
"""Bundles per node that wait for the opening of their epoch."""
COLLISIONS_MAX = 4
TWICE_AFTER_S = 60.0
"""A process that is heard so long after its successor came is no late packet: two are alive."""
TWICE_EVERY_S = 600.0
RUNS_REMEMBERED = 16


class HubNode:
    """One node at one hub process. What it is to be told goes into ``owed``, what the application hears to events."""

    def __init__(self, record: seal.NodeRecord, events: deque[HubEvent]) -> None:
        self.record = record
        self.sessions: list[Session] = []
        self.current: Session | None = None
        """The session in which the node proved last that it is there."""
        self.downs: dict[int, tuple[bytes, int]] = {}
        self.orders: OrderedDict[bytes, SignalOrder] = OrderedDict()
        self.asked: tuple[bytes, Session] | None = None
        """The latest request to be opened, and the session in which it came."""
        self.signals = 0
        self.states = 0
        self.heard_s: float | None = None
        self.seen_s = float("-inf")
        self.owed: list[fr.Frame] = []
        """To be said in the session in which the node was heard last; the endpoint takes them out."""
        self._events = events
        self._epochs: OrderedDict[bytes, seal.OpenedEpoch] = OrderedDict()
        self._offered: set[bytes] = set()
        self._stored: OrderedDict[bytes, int] = OrderedDict()
        self._waiting: OrderedDict[bytes, bytes] = OrderedDict()
        self._held: OrderedDict[tuple[bytes, int], Frontier] = OrderedDict()
        self._numbers: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        """The salt of the session in which a bundle last came, and its number there."""
        self._places: dict[bytes, tuple[bytes, int, int, int]] = {}
        self._runs: OrderedDict[bytes, float] = OrderedDict()
        """Processes of the node in the order in which they proved to be there, and when."""
        self._twice_s = float("-inf")

    @property
    def spoken(self) -> Session:
        """The session in which the node was last heard; there is one."""
        return max(self.sessions, key=lambda session: session.heard_s)

    # Epochs and processes.

    def epoch(self, opening: bytes) -> seal.OpenedEpoch | None:
        """An opening that is known."""
        return self._epochs.get(opening)

    def remember(self, epoch: seal.OpenedEpoch) -> None:
        """Keep an opened epoch: its bundles may come in any later session."""
        self._epochs[epoch.opening] = epoch
        self._epochs.move_to_end(epoch.opening)
        while len(self._epochs) > EPOCHS_PER_NODE:
            self._epochs.popitem(last=False)

    def forget_epoch(self, opening: bytes) -> None:
        self._epochs.pop(opening, None)

    def note_run(self, run: bytes, now: float) -> None:
        """A process of the node speaks now. One that has a successor should long have fallen silent."""
        if run not in self._runs:
            self._runs[run] = now
            while len(self._runs) > RUNS_REMEMBERED:
                self._runs.popitem(last=False)
        newest, since_s = next(reversed(self._runs.items()))
        if newest != run and now - since_s >= TWICE_AFTER_S and now - self._twice_s >= TWICE_EVERY_S:
            self._twice_s = now
            self._events.append(NodeTwice(self.record.node_id, run, newest))

    # Bundles that come.

    @property
    def takes_bundles(self) -> bool:
        """Whether the application keeps up with what it was offered."""
        return len(self._offered) < OFFERED_MAX

    def bundle(self, sealed: bytes, session: Session, number: int) -> None:
        """A whole bundle came in a session, under that number: acknowledge again, offer it, or wait for its opening."""
        with contextlib.suppress(seal.SealRefused):
            self._numbers[seal.bundle_id(sealed)] = (session.salt, number)
        while len(self._numbers) > STORED_REMEMBERED:
            self._numbers.popitem(last=False)
        self._take(sealed)

    def opening_came(self, opening: bytes, keys: seal.HubKeys) -> None:
        """The opening of an earlier epoch: what waited for it can be opened, or never."""
        try:
            if opening not in self._epochs:
                self.remember(seal.open_opening(opening, keys, self.record))
        except seal.SealRefused as error:
            if error.refusal.code == "hub_key_gone":
                epoch_id = seal.epoch_id_of(opening)
                for bundle_id in [b for b in self._waiting if b[:4] == epoch_id]:
                    del self._waiting[bundle_id]
                    self.owed.append(fr.Reseal(bundle_id))
            return
        for bundle_id, sealed in list(self._waiting.items()):
            if bundle_id[:4] == seal.epoch_id_of(opening):
                self._take(sealed, last=True)

    def _take(self, sealed: bytes, *, last: bool = False) -> None:
        """``last``: its opening was asked for and has come; what does not open now is damaged."""
        try:
            bundle_id = seal.bundle_id(sealed)
        except seal.SealRefused:
            return
        if bundle_id in self._stored:
            self._say_stored(bundle_id)
            return
        if bundle_id in self._offered:
            return
        epochs = [epoch for epoch in self._epochs.values() if epoch.epoch_id == bundle_id[:4]][:COLLISIONS_MAX]
        for epoch in epochs:
            try:
                packed = epoch.open_bundle(sealed)
            except seal.SealRefused:
                continue
            self._offer(epoch.grade, bundle_id, sealed, judge(packed, epoch.grade, None), packed)
            return
        if last and epochs:
            self._offer(epochs[0].grade, bundle_id, sealed, Rejected("bundle_refused"))
            return
        self._waiting[bundle_id] = sealed
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)
        self.owed.append(fr.Wanted(bundle_id[:4]))

    def _offer(
        self, grade: seal.Grade, bundle_id: bytes, sealed: bytes, verdict: Verdict | Piece, packed: bytes = b""
    ) -> None:
        self._waiting.pop(bundle_id, None)
        self._offered.add(bundle_id)
        node_id = self.record.node_id
        if isinstance(verdict, Rejected):
            self._events.append(BundleQuarantined(node_id, bundle_id, grade, verdict.reason, sealed, packed))
            return
        if isinstance(verdict, Piece):
            self._events.append(ChunkArrived(node_id, bundle_id, grade, verdict.chunk, sealed))
            return
        payload = verdict.payload
        held = self._held.get((payload.run, payload.stream))
        placed = place(payload, held) if held is not None else None
        hole = (placed.first, placed.last) if isinstance(placed, Gap) else None
        self._places[bundle_id] = (payload.run, payload.stream, payload.first_seq, len(payload.entries))
        self._events.append(BundleArrived(node_id, bundle_id, grade, payload, sealed, hole))

    # What the application says of them.

    def stored(self, bundle_id: bytes, wire: int) -> None:
        """The bundle is durable; ``wire``: the level as it stands in STORED."""
        self._offered.discard(bundle_id)
        self._stored[bundle_id] = wire
        while len(self._stored) > STORED_REMEMBERED:
            self._stored.popitem(last=False)
        where = self._places.pop(bundle_id, None)
        if where is not None:
            run, stream, first, count = where
            self._held.setdefault((run, stream), Frontier()).add(first, count)
            while len(self._held) > LOGS_REMEMBERED:
                self._held.popitem(last=False)
        self._say_stored(bundle_id)

    def failed(self, bundle_id: bytes) -> None:
        """The bundle could not be stored: it is offered again when it comes again."""
        self._offered.discard(bundle_id)
        self._places.pop(bundle_id, None)

    def _say_stored(self, bundle_id: bytes) -> None:
        """By the number under which it came, where the node knows that."""
        salt, number = self._numbers.pop(bundle_id, (b"", 0))
        level = self._stored[bundle_id]
        if self.sessions and self.spoken.salt == salt:
            self.owed.append(fr.StoredHere(level, ((number, number),)))
        else:
            self.owed.append(fr.Stored(bundle_id, level))
