"""Two endpoints and a bad medium between them, on simulated time. Used by the tests of sync."""

import heapq
import random
from collections.abc import Callable, Hashable, Sequence

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from edge.sync import seal
from edge.sync.bundle import BundlePayload
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.link import (
    BundleAcked,
    BundleArrived,
    BundleQuarantined,
    BundleRef,
    DownArrived,
    DownStored,
    HubEvent,
    NodeEvent,
    NodeSeen,
    Reseal,
    SignalArrived,
)
from edge.sync.log import Stream


class Keyring:
    """Deterministic keys of one hub and one node."""

    def __init__(self, seed: int = 1) -> None:
        draw = random.Random(seed)
        self.kem, self.sign, self.root = draw.randbytes(32), draw.randbytes(32), draw.randbytes(32)
        self.device, self.log, self.records = draw.randbytes(32), draw.randbytes(32), draw.randbytes(32)
        self.node_id, psk = draw.randbytes(8), draw.randbytes(32)
        self.hub = seal.HubKeys((self.kem,), self.sign)
        self.node = seal.NodeKeys(
            self.node_id,
            psk,
            self.device,
            seal.verifier_of(self.root),
            seal.verifier_of(self.sign),
            (seal.public_of(self.kem),),
        )
        self.record = seal.NodeRecord(
            self.node_id,
            psk,
            seal.verifier_of(self.device),
            seal.verifier_of(self.log),
            seal.public_of(self.records),
        )

    def by_hint(self, hint: bytes) -> Sequence[seal.NodeRecord]:
        return [self.record] if hint == seal.node_hint(self.node_id) else []

    def by_id(self, node_id: bytes) -> seal.NodeRecord | None:
        return self.record if node_id == self.node_id else None


class Medium:
    """Loses, doubles, delays and reorders datagrams; can be cut."""

    def __init__(self, seed: int, *, loss: float = 0.0, delay_s: float = 0.1, jitter_s: float = 0.0) -> None:
        self.draw = random.Random(seed)
        self.loss, self.delay_s, self.jitter_s = loss, delay_s, jitter_s
        self.doubling = 0.0
        self.rate_bps: float | None = None
        self.cut = False
        self.bytes = {"up": 0, "down": 0}
        self._free_s = {"up": 0.0, "down": 0.0}
        self._flying: list[tuple[float, int, str, bytes, Hashable]] = []
        self._count = 0

    def send(self, way: str, data: bytes, path: Hashable, now: float) -> None:
        self.bytes[way] += len(data) + 28
        start = max(now, self._free_s[way])
        if self.rate_bps:
            start += 8 * (len(data) + 28) / self.rate_bps
            self._free_s[way] = start
        if self.cut or self.draw.random() < self.loss:
            return
        for _ in range(2 if self.draw.random() < self.doubling else 1):
            self._count += 1
            at = start + self.delay_s + self.draw.random() * self.jitter_s
            heapq.heappush(self._flying, (at, self._count, way, data, path))

    def due(self, now: float) -> list[tuple[str, bytes, Hashable]]:
        out = []
        while self._flying and self._flying[0][0] <= now + 1e-9:
            _, _, way, data, path = heapq.heappop(self._flying)
            out.append((way, data, path))
        return out

    def next_s(self) -> float | None:
        return self._flying[0][0] if self._flying else None


class World:
    """A node and a hub with the smallest honest applications: they store, then say so."""

    def __init__(self, medium: Medium, seed: int = 7) -> None:
        self.keys = Keyring()
        self.medium = medium
        self.draw = random.Random(seed)
        self.now = 1000.0
        self.address: Hashable = ("udp", ("10.0.0.1", 1))
        self.outbox: dict[bytes, tuple[BundleRef, int]] = {}
        self.acked: list[bytes] = []
        self.hub_log: dict[tuple[bytes, int, int], bytes] = {}
        self.hub_offers: list[bytes] = []
        self.quarantine: list[BundleQuarantined] = []
        self.downs_wanted: dict[int, bytes] = {}
        self.downs_held: dict[int, bytes] = {}
        self.downs_confirmed: list[int] = []
        self.node_events: list[NodeEvent] = []
        self.hub_events: list[HubEvent] = []
        self.store_delay_s = 0.0
        self._storing: list[tuple[float, HubEvent]] = []
        self.run = b""
        self.seqs = 0
        self.start_node()
        self.start_hub()

    def start_node(self) -> None:
        """A new process: RAM is gone, the outbox and what was stored are not."""
        self.run = self.draw.randbytes(8)
        self.seqs = 0
        self._given: set[int] = set()
        self.node_signals: list[bytes] = []
        self.node = NodeEndpoint(
            self.keys.node,
            self.run,
            self.draw.randbytes(32),
            seal.Grade.LOG,
            self.keys.log,
            self.now,
            random=self.draw.randbytes,
        )
        for ref, cls in self.outbox.values():
            self.node.submit_bundle(ref, cls, self.now)

    def start_hub(self) -> None:
        self._storing.clear()
        self.hub_run = self.draw.randbytes(8)
        self.hub_signals: list[bytes] = []
        self._offered: set[bytes] = set()
        self.hub = HubEndpoint(self.keys.hub, self.keys, self.now, unix_offset_s=1e9, random=self.draw.randbytes)

    def submit(self, entries: tuple[bytes, ...], cls: int = 1) -> bytes:
        payload = BundlePayload(cls, self.run, Stream.CLINICAL, self.seqs + 1, entries)
        self.seqs += len(entries)
        ref = self.node.seal_bundle(payload)
        self.outbox[ref.bundle_id] = (ref, cls)
        self.node.submit_bundle(ref, cls, self.now)
        return ref.bundle_id

    def prescribe(self, seq: int, payload: bytes, cls: int = 1) -> None:
        blob = seal.seal_down(self.keys.record, seq, payload, self.keys.sign)
        self.downs_wanted[seq] = blob
        self.hub.send_down(self.keys.node_id, seq, blob, cls, self.now)

    def step(self) -> None:
        """Everything that happens at the present moment."""
        for way, data, path in self.medium.due(self.now):
            if way == "up":
                self.hub.receive(data, path, self.now)
            elif path == self.address:
                self.node.receive(data, "udp", self.now)
        while (heard := self.node.next_event()) is not None:
            self._node_hears(heard)
        while (told := self.hub.next_event()) is not None:
            self._hub_hears(told)
        for at, event in [item for item in self._storing if item[0] <= self.now]:
            self._storing.remove((at, event))
            self._hub_stores(event)
        for data, _ in self.node.datagrams_to_send(self.now):
            self.medium.send("up", data, self.address, self.now)
        for data, path in self.hub.datagrams_to_send(self.now):
            self.medium.send("down", data, path, self.now)

    def go(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True as soon as ``until`` holds."""
        end = self.now + seconds
        while True:
            self.step()
            if until is not None and until():
                return True
            times = [self.medium.next_s(), self.node.get_timer(), self.hub.get_timer()]
            times += [at for at, _ in self._storing]
            coming = min((t for t in times if t is not None), default=end)
            if coming > end or self.now >= end:
                self.now = end
                self.step()
                return until() if until is not None else True
            self.now = max(coming, self.now + 0.0005)

    def _node_hears(self, event: NodeEvent) -> None:
        self.node_events.append(event)
        if isinstance(event, BundleAcked):
            held = {entry[0] for entry in self.hub_log}
            assert event.quarantined or event.bundle_id in self.hub_offers, "acknowledged before it was stored"
            assert held
            self.acked.append(event.bundle_id)
            self.outbox.pop(event.bundle_id, None)
        elif isinstance(event, DownArrived):
            assert event.seq not in self._given, "given twice to one process"
            self._given.add(event.seq)
            self.downs_held[event.seq] = event.blob
            self.node.down_stored(event.seq)
        elif isinstance(event, SignalArrived):
            self.node_signals.append(event.blob)
        elif isinstance(event, Reseal):
            self.outbox.pop(event.bundle_id, None)

    def _hub_hears(self, event: HubEvent) -> None:
        self.hub_events.append(event)
        if isinstance(event, BundleArrived | BundleQuarantined):
            assert event.bundle_id not in self._offered, "offered twice by one process"
            self._offered.add(event.bundle_id)
            self._storing.append((self.now + self.store_delay_s, event))
        elif isinstance(event, NodeSeen) and event.fresh:
            for seq, blob in self.downs_wanted.items():
                self.hub.send_down(self.keys.node_id, seq, blob, 1, self.now)
        elif isinstance(event, DownStored):
            assert event.seq in self.downs_held, "said to be stored before it was"
            self.downs_confirmed.append(event.seq)
            self.downs_wanted.pop(event.seq, None)
        elif isinstance(event, SignalArrived):
            self.hub_signals.append(event.blob)

    def _hub_stores(self, event: HubEvent) -> None:
        if isinstance(event, BundleQuarantined):
            self.quarantine.append(event)
            self.hub.bundle_stored(event.node_id, event.bundle_id, quarantined=True)
        elif isinstance(event, BundleArrived):
            for index, raw in enumerate(event.payload.entries):
                place = (event.payload.run, event.payload.stream, event.payload.first_seq + index)
                assert self.hub_log.setdefault(place, raw) == raw
            self.hub_offers.append(event.bundle_id)
            self.hub.bundle_stored(event.node_id, event.bundle_id)


class NonceWatch:
    """Wraps the AEAD of :mod:`edge.sync.seal` and notes every (key, nonce) that seals."""

    def __init__(self) -> None:
        self.sealed: dict[tuple[bytes, bytes], bytes] = {}
        self.repeated: list[tuple[bytes, bytes]] = []
        self._real = ChaCha20Poly1305
        watch = self

        class Watched:
            def __init__(self, key: bytes) -> None:
                self._key = key
                self._aead = watch._real(key)

            def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
                if watch.sealed.setdefault((self._key, nonce), data) is not data:
                    watch.repeated.append((self._key, nonce))
                return self._aead.encrypt(nonce, data, associated)

            def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
                return self._aead.decrypt(nonce, data, associated)

        setattr(seal, "ChaCha20Poly1305", Watched)  # noqa: B010 - the type checker knows it as a class

    def stop(self) -> None:
        setattr(seal, "ChaCha20Poly1305", self._real)  # noqa: B010


def watch_nonces() -> NonceWatch:
    """Begin to watch; call ``stop`` when done."""
    return NonceWatch()
