"""The node's side of a courier stick: what is on it for the hub, and what the hub's word on it changes here.

:class:`Desk` is the only one that touches the store; it works locked and unlocked, in the running node
(asked through the socket of :mod:`edge.sync.bearers.usb_control`) and in the command itself when no
node runs. Nothing is believed that the hub did not sign.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

from edge.sync import courier, seal
from edge.sync.bearers.usb_control import ControlClient, ControlServer
from edge.sync.bearers.usb_stick import Waiting
from edge.sync.bearers.usb_talk import Asker, Failed, answerer
from edge.sync.link import BundleAcked, Cls
from edge.web.logs import say

from .clinic import Clinic
from .config import NodeConfig, load_config
from .link import HubLink, new_endpoint
from .live import StickPush
from .outbox import OutboxDb
from .stick_line import StickLine
from .usage import KeptMeter

logger = logging.getLogger("edge.node.courier")
RECEIPTS_SHOWN: Final = 20
PAGE: Final = 256
"""Bundles that are looked at together."""
ROWS_AT_ONCE: Final = 100
"""Rows of a receipt that share a transaction: a tablet's command waits for no more than these."""


class Learned(msgspec.Struct, frozen=True, tag=True):
    """What a receipt changed."""

    acknowledged: int = 0
    reseal: int = 0
    quarantined: int = 0


class StickReceipt(msgspec.Struct, frozen=True):
    """A receipt of the hub that a stick brought."""

    at_ms: int
    acknowledged: int
    reseal: int
    quarantined: int


class StickCounts(msgspec.Struct, frozen=True):
    """What sticks did since the start of the node."""

    copied: int = 0
    """Files for the hub that were copied onto sticks; the same one counts on every stick."""
    copied_bytes: int = 0
    receipts: int = 0
    acknowledged: int = 0
    """Bundles that their receipts settled."""
    reseal: int = 0
    quarantined: int = 0
    downs: int = 0
    """Parcels of the hub that came by stick and were new here."""
    updates: int = 0
    """Updates that were copied into ``updates/``."""


class AskWaiting(msgspec.Struct, frozen=True, tag=True):
    pass


class AskFile(msgspec.Struct, frozen=True, tag=True):
    bundle_id: bytes


class AskStored(msgspec.Struct, frozen=True, tag=True):
    pass


class GiveReceipt(msgspec.Struct, frozen=True, tag=True):
    raw: bytes


class GiveDown(msgspec.Struct, frozen=True, tag=True):
    raw: bytes


class GiveRevoked(msgspec.Struct, frozen=True, tag=True):
    raw: bytes


class TellUpdate(msgspec.Struct, frozen=True, tag=True):
    name: str
    version: str


class TellStage(msgspec.Struct, frozen=True, tag=True):
    stage: str
    written: int = 0
    total: int = 0
    code: str = ""
    stick: str = ""
    """Where the stick is mounted; empty: the command did not say."""


class WaitingList(msgspec.Struct, frozen=True, tag=True):
    items: tuple[Waiting, ...]


class File(msgspec.Struct, frozen=True, tag=True):
    raw: bytes
    """Empty: there is none (any more)."""


class Taken(msgspec.Struct, frozen=True, tag=True):
    fresh: bool


Question: TypeAlias = AskWaiting | AskFile | AskStored | GiveReceipt | GiveDown | GiveRevoked | TellUpdate | TellStage
Answer: TypeAlias = WaitingList | File | Learned | Taken | Failed
ASK_REPORT: Final = b"upk1 report"
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_answers: msgspec.msgpack.Decoder[object] = msgspec.msgpack.Decoder(Answer)


class NodeDesk(Protocol):
    """What the command needs of the node, wherever it is."""

    async def waiting(self) -> tuple[Waiting, ...]:
        """All bundles that the hub has not acknowledged: everything that was recorded until now, photos too, unless
        the node is locked. As they were sealed; photos and clips behind all else where the node is open."""

    async def file(self, bundle_id: bytes) -> bytes:
        """The UP file of one of them; empty when it was acknowledged meanwhile."""

    async def stored(self) -> bytes:
        """The STORED file: which down blobs are here; empty when none is."""

    async def learn(self, raw: bytes) -> Learned:
        """Take a receipt in, durably. Raises CourierRefused for one that is not ours or not signed."""

    async def take_down(self, raw: bytes) -> bool:
        """Take a DOWN file in, durably; True when it is new. Raises CourierRefused."""

    async def take_revocations(self, raw: bytes) -> bool:
        """Take in a list of what is revoked, durably; True when it is new. Raises CourierRefused."""

    async def update_taken(self, name: str, version: str) -> None:
        """An update was copied into ``updates/``: say so."""

    async def tell_stage(self, stage: str, written: int = 0, total: int = 0, code: str = "") -> None:
        """Let the people in the room know how the stick stands (:class:`edge.node.live.StickPush`)."""


class Desk:
    """The node itself."""

    def __init__(self, clinic: Clinic, link: HubLink) -> None:
        self._clinic = clinic
        self._link = link
        self._config = clinic.config
        self._hub = courier.hub_of(clinic.config.hub_sign)
        self.receipts: deque[StickReceipt] = deque(maxlen=RECEIPTS_SHOWN)
        """What sticks settled since the start, the latest last."""
        self.counts = StickCounts()
        self._line = StickLine()

    async def waiting(self) -> tuple[Waiting, ...]:
        if not self._clinic.locked:
            await self._clinic.seal_whole()
        found: list[Waiting] = []
        after = 0
        while True:
            rows, last = await self._clinic.store.outbox(_page_after(after))
            found += [Waiting(ref, courier.digest_of(sealed), len(sealed)) for ref, sealed in rows]
            if len(rows) < PAGE:
                break
            after = last
        if not self._clinic.locked:
            classes = {ref: cls for cls, ref, _ in await self._clinic.store.read(lambda views: views.media.waiting())}
            found.sort(key=lambda one: classes.get(one.bundle_id, Cls.CLINICAL))
        return tuple(found)

    async def file(self, bundle_id: bytes) -> bytes:
        found = await self._clinic.store.outbox(lambda outbox: outbox.find(bundle_id))
        if found is None or not found[0].sealed:
            return b""
        raw = courier.up_file(self._hub, found[0].opening, found[0].sealed)
        self._count(copied=1, copied_bytes=len(raw))
        return raw

    async def stored(self) -> bytes:
        seqs = await self._clinic.store.outbox(lambda outbox: outbox.down_seqs())
        if not seqs:
            return b""
        return courier.stored_file(self._config.device, self._hub, self._config.node_id, seqs)

    async def learn(self, raw: bytes) -> Learned:
        file = courier.parse(raw)
        if not isinstance(file, courier.ReceiptFile) or file.node_id != self._config.node_id:
            raise courier.CourierRefused("not a receipt for this node", code="courier_not_ours")
        courier.check_receipt(file, self._config.hub_sign)
        acknowledged = reseal = quarantined = 0
        for at in range(0, len(file.rows), ROWS_AT_ONCE):
            rows = await self._concern_us(file.rows[at : at + ROWS_AT_ONCE])
            gone = [row.bundle_id for row in rows if row.durable == courier.RESEAL_LEVEL]
            kept = [
                BundleAcked(row.bundle_id, row.durable, row.quarantined)
                for row in rows
                if row.durable != courier.RESEAL_LEVEL
            ]
            await self._link.hear_rows(kept, gone)
            acknowledged += len(kept)
            reseal += len(gone)
            quarantined += sum(word.quarantined for word in kept)
        say(logger, "receipt_taken", acknowledged=acknowledged, reseal=reseal, quarantined=quarantined)
        at_ms = self._clinic.clock.now().wall_ms
        self.receipts.append(StickReceipt(at_ms, acknowledged, reseal, quarantined))
        self._count(receipts=1, acknowledged=acknowledged, reseal=reseal, quarantined=quarantined)
        return Learned(acknowledged, reseal, quarantined)

    async def _concern_us(self, rows: Sequence[courier.Row]) -> list[courier.Row]:
        """Those that say something new about these very bytes. Bytes that are gone were acknowledged."""
        refs = [row.bundle_id for row in rows]
        found = await self._clinic.store.outbox(lambda outbox: outbox.find_all(refs))
        news: list[courier.Row] = []
        for row in rows:
            ref, level = found.get(row.bundle_id, (None, 0))
            if ref is None:
                continue
            if courier.digest_of(ref.sealed) == row.digest if level == 0 else row.durable > level:
                news.append(row)
        return news

    async def take_down(self, raw: bytes) -> bool:
        file = courier.parse(raw)
        if not isinstance(file, courier.DownFile) or file.node_id != self._config.node_id:
            raise courier.CourierRefused("not a blob for this node", code="courier_not_ours")
        courier.check_down(file, self._config.hub_sign)
        if await self._clinic.store.outbox(lambda outbox: outbox.has_down(file.seq)):
            return False
        await self._link.hear_down(file.seq, file.blob)
        self._count(downs=1)
        return True

    async def take_revocations(self, raw: bytes) -> bool:
        return await self._link.hear_revocations(raw)

    async def update_taken(self, name: str, version: str) -> None:
        say(logger, "update_taken", name=name, version=version)
        self._count(updates=1)

    async def tell_stage(
        self, stage: str, written: int = 0, total: int = 0, code: str = "", *, stick: str = ""
    ) -> None:
        told = StickPush(stage, written, total, code)
        self._clinic.tablets.push(self._line.heard(stick, told, time.monotonic()))

    def _count(self, **more: int) -> None:
        now = self.counts
        self.counts = msgspec.structs.replace(now, **{name: getattr(now, name) + n for name, n in more.items()})

    async def answer(self, question: Question) -> Answer:
        """Answer a question that came through the socket. Raises what refuses it."""
        match question:
            case AskWaiting():
                return WaitingList(await self.waiting())
            case AskFile(bundle_id):
                return File(await self.file(bundle_id))
            case AskStored():
                return File(await self.stored())
            case GiveReceipt(raw):
                return await self.learn(raw)
            case GiveDown(raw):
                return Taken(await self.take_down(raw))
            case GiveRevoked(raw):
                return Taken(await self.take_revocations(raw))
            case TellUpdate(name, version):
                await self.update_taken(name, version)
                return Taken(True)
            case TellStage(stage, written, total, code, stick):
                await self.tell_stage(stage, written, total, code, stick=stick)
                return Taken(True)


def _page_after(after: int) -> Callable[[OutboxDb], tuple[list[tuple[bytes, bytes]], int]]:
    return lambda outbox: outbox.waiting_names(after, PAGE)


class RemoteDesk:
    """The running node, asked through its socket."""

    def __init__(self, client: ControlClient, stick: str) -> None:
        """``stick``: where the stick is mounted, so that two at once are told apart."""
        self._asker: Asker[Question] = Asker(client, _answers)
        self._stick = stick

    async def waiting(self) -> tuple[Waiting, ...]:
        return (await self._asker.ask(AskWaiting(), WaitingList)).items

    async def file(self, bundle_id: bytes) -> bytes:
        return (await self._asker.ask(AskFile(bundle_id), File)).raw

    async def stored(self) -> bytes:
        return (await self._asker.ask(AskStored(), File)).raw

    async def learn(self, raw: bytes) -> Learned:
        return await self._asker.ask(GiveReceipt(raw), Learned)

    async def take_down(self, raw: bytes) -> bool:
        return (await self._asker.ask(GiveDown(raw), Taken)).fresh

    async def take_revocations(self, raw: bytes) -> bool:
        return (await self._asker.ask(GiveRevoked(raw), Taken)).fresh

    async def update_taken(self, name: str, version: str) -> None:
        await self._asker.ask(TellUpdate(name, version), Taken)

    async def tell_stage(self, stage: str, written: int = 0, total: int = 0, code: str = "") -> None:
        await self._asker.ask(TellStage(stage, written, total, code, self._stick), Taken)


def control(folder: Path, desk: Desk, report: Callable[[], Awaitable[bytes]]) -> ControlServer:
    """The socket of a running node: the courier's questions, and :data:`ASK_REPORT`, answered by ``report``."""

    ask = answerer(_questions, desk.answer)

    async def answer(body: bytes) -> bytes:
        return await report() if body == ASK_REPORT else await ask(body)

    return ControlServer(folder, lambda: answer)


async def report_of(folder: Path) -> bytes | None:
    """What the running node of a data folder says about itself (JSON); None when none runs. Raises ControlRefused."""
    client = await ControlClient.open(folder)
    if client is None:
        return None
    try:
        return await client.ask(ASK_REPORT)
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def desk_of(folder: Path, stick: str = "") -> AsyncIterator[tuple[NodeDesk, NodeConfig, bool]]:
    """The desk of the node in a data folder, its configuration, and whether the node runs. Raises NotEnrolled.

    Without a running node only ``outbox.db`` is opened: the records learn at the next unlock.
    """
    config = await asyncio.to_thread(load_config, folder)
    client = await ControlClient.open(folder)
    if client is not None:
        try:
            yield RemoteDesk(client, stick), config, True
        finally:
            await client.close()
        return
    clinic, link = await asyncio.to_thread(_at_rest, folder, config)
    await clinic.store.open()
    try:
        yield Desk(clinic, link), config, False
    finally:
        await clinic.store.close()


def _at_rest(folder: Path, config: NodeConfig) -> tuple[Clinic, HubLink]:
    """A node without its services. Blocking."""
    run = secrets.token_bytes(seal.RUN_BYTES)
    endpoint = new_endpoint(config, run)
    clinic = Clinic(folder, config, run, endpoint.pack, endpoint.seal_packed)
    return clinic, HubLink(clinic, endpoint, KeptMeter(folder, config))
