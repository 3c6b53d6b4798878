"""The other end of a node's link: a real HubEndpoint on a real socket, with the application a list."""

import asyncio
import os
import time
from collections.abc import Sequence

import msgspec

from edge.media.signals import Signal
from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.sync import bundle, holdings, seal
from edge.sync.bearers.runner import HubRunner
from edge.sync.endpoint import HubEndpoint
from edge.sync.link import (
    BundleArrived,
    ChunkArrived,
    DownStored,
    HubEvent,
    NodeSeen,
    SignalArrived,
    StateArrived,
)
from edge.sync.log import Stream
from tests.node.kit import Provisioned


class HubSide:
    """Keeps what arrives; says what it is told to say. Enter it to listen on ``port``."""

    def __init__(self, setup: Provisioned, port: int = 0) -> None:
        self._setup = setup
        self._run = os.urandom(8)
        self._seq = 0
        self._down: dict[int, bytes] = {}
        self.entries: dict[tuple[bytes, int, int], ev.Entry] = {}
        """What a hub would have stored, by (run, stream, seq)."""
        self.chunks: dict[tuple[str, int], bytes] = {}
        """Chunks by (blob, number), in the order in which they came."""
        self.chunk_copies = 0
        self.conflicts = 0
        """Entries that came twice with different bytes."""
        self.heads: list[bundle.BundlePayload] = []
        self.grades: set[str] = set()
        self.signals: asyncio.Queue[Signal] = asyncio.Queue()
        self.states: asyncio.Queue[holdings.Message] = asyncio.Queue()
        self.down_stored: set[int] = set()
        self.port = port
        self.answers = True
        """False: bundles come, and nothing is said about them."""

    def by_hint(self, hint: bytes) -> Sequence[seal.NodeRecord]:
        return [self._setup.record] if seal.node_hint(self._setup.record.node_id) == hint else []

    def by_id(self, node_id: bytes) -> seal.NodeRecord | None:
        return self._setup.record if node_id == self._setup.record.node_id else None

    async def __aenter__(self) -> "HubSide":
        now = time.monotonic()
        self.endpoint = HubEndpoint(self._setup.hub, self, now, unix_offset_s=time.time() - now, random=os.urandom)
        self._runner = HubRunner(self.endpoint, ("127.0.0.1", self.port), self._heard)
        await self._runner.start()
        self.port = self._runner.udp_port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.stop()

    async def _heard(self, event: HubEvent) -> None:
        node_id = self._setup.record.node_id
        match event:
            case BundleArrived():
                self._keep(event)
                if self.answers:
                    self.endpoint.bundle_stored(node_id, event.bundle_id)
            case ChunkArrived():
                place = (event.chunk.blob_id, event.chunk.number)
                self.chunk_copies += place in self.chunks
                self.conflicts += self.chunks.setdefault(place, event.chunk.data) != event.chunk.data
                self.endpoint.bundle_stored(node_id, event.bundle_id)
            case NodeSeen(fresh=True):
                for seq, blob in self._down.items():
                    if seq not in self.down_stored:
                        self.endpoint.send_down(node_id, seq, blob, 1)
            case DownStored(_, seq):
                self.down_stored.add(seq)
            case StateArrived(_, body):
                self.states.put_nowait(holdings.decode(body))
            case SignalArrived(_, blob):
                self.signals.put_nowait(msgspec.msgpack.decode(blob, type=Signal))
            case _:
                pass
        self._runner.wake()

    def _keep(self, event: BundleArrived) -> None:
        payload = event.payload
        self.grades.add(event.grade.value)
        if payload.head is not None:
            self.heads.append(payload)
        for seq, raw in enumerate(payload.entries, payload.first_seq):
            entry = msgspec.msgpack.decode(raw, type=ev.Entry)
            known = self.entries.setdefault((payload.run, payload.stream, seq), entry)
            self.conflicts += known != entry

    def wake(self) -> None:
        """Something was given to the endpoint."""
        self._runner.wake()

    async def notice(self, code: str) -> holdings.Notice:
        """The next notice of that code."""
        while True:
            message = await self.states.get()
            if isinstance(message, holdings.Notice) and message.code == code:
                return message

    def events(self) -> list[ev.Event | ev.Unknown]:
        """All events, in the order in which the node said them."""
        return [ev.event_of(entry) for entry in sorted(self.entries.values(), key=lambda entry: entry.stamp)]

    def say(self, *events: ev.Event) -> int:
        """Seal events for the node's records key and send them; the down sequence."""
        now_ms = int(time.time() * 1000)
        raws = tuple(
            msgspec.msgpack.encode(ev.entry_of(event, next_stamp(0, now_ms) + place, "dr-1"))
            for place, event in enumerate(events)
        )
        first_seq = self._seq + 1
        self._seq += len(raws)
        packed = bundle.pack(bundle.BundlePayload(1, self._run, int(Stream.HUB), first_seq, raws))
        seq = len(self._down) + 1
        blob = seal.seal_down(self._setup.record, seq, packed, self._setup.hub.sign)
        self._down[seq] = blob
        self.endpoint.send_down(self._setup.record.node_id, seq, blob, 1)
        self._runner.wake()
        return seq

    def signal(self, signal: Signal) -> None:
        """Send a call signal."""
        self.endpoint.send_signal(self._setup.record.node_id, msgspec.msgpack.encode(signal))
        self._runner.wake()
