"""The hub's side of a courier stick: bundles go the way of those from the link, receipts are signed here.

:class:`Desk` works in the running hub (asked through the socket of
:mod:`edge.sync.bearers.usb_control`) and in the command itself when no hub runs. A receipt is signed
only for what this desk has just made durable. Knows no stick.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Final, Protocol, TypeAlias

import msgspec
from sqlalchemy import Connection, select, update

from edge.sync import courier, seal
from edge.sync.bearers.usb_control import ControlClient, ControlServer
from edge.sync.bearers.usb_talk import Asker, Failed, answerer
from edge.sync.frames import QUARANTINED
from edge.sync.link import BundleArrived
from edge.sync.release import parse_release

from . import directory, revocations, waves
from .blob_rows import LooseLimit
from .hub import Hub
from .quarantine import QuarantineFull
from .store.schema import down

BATCH_FILES: Final = 32
BATCH_BYTES: Final = 4 << 20
DECIDED_MAX: Final = 50_000
"""Bundles of one visit that receipts can be signed for; the next visit takes the rest."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of one UP file."""

    node_id: bytes = b""
    row: courier.Row | None = None
    """What a receipt shall say; None: it deserves none."""
    fresh: bool = False
    """It held entries that the hub did not have."""
    code: str = ""
    """Why there is no row, or why it lies in quarantine."""


class DownName(msgspec.Struct, frozen=True, order=True):
    """A down blob that a node does not hold yet, as far as the hub knows."""

    node_id: bytes
    seq: int


class GiveUps(msgspec.Struct, frozen=True, tag=True):
    raws: tuple[bytes, ...]
    replaced: bool = False
    """Bundles of machines that another one has replaced are taken too: a person says that this stick is theirs."""


class GiveStored(msgspec.Struct, frozen=True, tag=True):
    raw: bytes


class AskReceipt(msgspec.Struct, frozen=True, tag=True):
    node_id: bytes
    rows: tuple[courier.Row, ...]


class AskDowns(msgspec.Struct, frozen=True, tag=True):
    pass


class AskDown(msgspec.Struct, frozen=True, tag=True):
    name: DownName


class AskWho(msgspec.Struct, frozen=True, tag=True):
    pass


class AskRevoked(msgspec.Struct, frozen=True, tag=True):
    pass


class AskOffer(msgspec.Struct, frozen=True, tag=True):
    node_id: bytes
    release: bytes
    release_signature: bytes


class AskDue(msgspec.Struct, frozen=True, tag=True):
    sha256: str


class Verdicts(msgspec.Struct, frozen=True, tag=True):
    items: tuple[Verdict, ...]


class File(msgspec.Struct, frozen=True, tag=True):
    raw: bytes


class Marked(msgspec.Struct, frozen=True, tag=True):
    count: int


class DownNames(msgspec.Struct, frozen=True, tag=True):
    items: tuple[DownName, ...]


class Lists(msgspec.Struct, frozen=True, tag=True):
    items: tuple[bytes, ...]


class Due(msgspec.Struct, frozen=True, tag=True):
    node_ids: tuple[bytes, ...] | None


class Who(msgspec.Struct, frozen=True, tag=True):
    sign_public: bytes


Question: TypeAlias = GiveUps | GiveStored | AskReceipt | AskDowns | AskDown | AskRevoked | AskOffer | AskDue | AskWho
Answer: TypeAlias = Verdicts | File | Marked | DownNames | Lists | Due | Who | Failed
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_answers: msgspec.msgpack.Decoder[object] = msgspec.msgpack.Decoder(Answer)


class HubDesk(Protocol):
    """What the command needs of the hub, wherever it is."""

    async def who(self) -> bytes:
        """The public key H."""

    async def take_ups(self, raws: Sequence[bytes], *, replaced: bool) -> tuple[Verdict, ...]:
        """Make bundles durable; one verdict for each, in order. ``replaced``: also those of replaced machines."""

    async def take_stored(self, raw: bytes) -> int:
        """Note what a node holds; how many blobs that settles. Raises CourierRefused."""

    async def receipt(self, node_id: bytes, rows: Sequence[courier.Row]) -> bytes:
        """A signed RECEIPT file for what was taken in this visit."""

    async def downs(self) -> tuple[DownName, ...]:
        """What nodes do not hold yet, the most urgent class first, in it by node and as it was said."""

    async def down(self, name: DownName) -> bytes:
        """The DOWN file of one of them; empty when it is settled."""

    async def revoked(self) -> tuple[bytes, ...]:
        """Every node's present list of what is revoked, the most urgent first."""

    async def offer(self, node_id: bytes, release: bytes, release_signature: bytes) -> bytes:
        """The signed UPDATE file for a release. Raises CourierRefused for one that is none, and for an unknown node."""

    async def due(self, sha256: str) -> tuple[bytes, ...] | None:
        """The nodes that an update's waves let have it now; None for an update without waves."""


class FormerMachines:
    """The machines that stood at nodes' places before, as a directory for opening what they sealed."""

    def __init__(self, records: Sequence[seal.NodeRecord]) -> None:
        self._by_hint: dict[bytes, list[seal.NodeRecord]] = {}
        for record in records:
            self._by_hint.setdefault(seal.node_hint(record.node_id), []).append(record)

    def by_hint(self, hint: bytes) -> Sequence[seal.NodeRecord]:
        return self._by_hint.get(hint, ())

    def by_id(self, node_id: bytes) -> seal.NodeRecord | None:
        return None

    def sealer_of(self, opening: bytes) -> seal.NodeRecord | None:
        """The machine that made an opening; None: none of these."""
        machines = self.by_hint(seal.opening_hint(opening))
        return next((one for one in machines if seal.opening_is_from(opening, one.psk)), None)


class Desk:
    """The hub itself, for one visit of a stick."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._opener = courier.Opener(hub.keys.hub, hub.directory)
        self._decided: set[tuple[bytes, courier.Row]] = set()
        self._former: FormerMachines | None = None

    async def who(self) -> bytes:
        return self._hub.keys.sign_public

    async def take_ups(self, raws: Sequence[bytes], *, replaced: bool) -> tuple[Verdict, ...]:
        if self._former is None:
            keys = self._hub.keys
            self._former = FormerMachines(
                await self._hub.store.read(lambda connection: directory.former_machines(connection, keys))
            )
        former = self._former
        verdicts = await asyncio.gather(*(self._take_up(raw, former, replaced) for raw in raws))
        for verdict in verdicts:
            if verdict.row is not None and len(self._decided) < DECIDED_MAX:
                self._decided.add((verdict.node_id, verdict.row))
        return tuple(verdicts)

    async def _take_up(self, raw: bytes, former: FormerMachines, replaced: bool) -> Verdict:
        try:
            file = courier.parse(raw)
            if not isinstance(file, courier.UpFile):
                return Verdict(code="courier_not_ours")
            machine = former.sealer_of(file.opening)
            if machine is not None and not replaced:
                return Verdict(code="node_replaced")
            opener = self._opener if machine is None else courier.Opener(self._hub.keys.hub, former)
            event = opener.open(file)
        except (courier.CourierRefused, seal.SealRefused) as error:
            return Verdict(code=error.refusal.code)
        if isinstance(event, courier.Stray):
            row = courier.Row(event.bundle_id, file.digest, courier.RESEAL_LEVEL)
            return Verdict(event.node_id, row, code="hub_key_gone")
        try:
            taken = await self._hub.link.receive(event, machine)
        except (QuarantineFull, LooseLimit) as error:
            return Verdict(event.node_id, code=error.refusal.code)
        if taken is None:
            return Verdict(code="node_unknown")
        level = await self._hub.link.level_now() if isinstance(event, BundleArrived) else 1
        level |= QUARANTINED if taken.quarantined else 0
        row = courier.Row(event.bundle_id, file.digest, level)
        return Verdict(event.node_id, row, taken.fresh > 0, taken.quarantined)

    async def take_stored(self, raw: bytes) -> int:
        file = courier.parse(raw)
        record = self._hub.directory.by_id(file.node_id) if isinstance(file, courier.StoredFile) else None
        if not isinstance(file, courier.StoredFile) or record is None or record.revoked:
            raise courier.CourierRefused("not a list of a node of ours", code="courier_not_ours")
        courier.check_stored(file, record.device_public)
        ranges, node_id, now_ms = file.ranges, file.node_id, self._hub.wall_ms()
        return await self._hub.store.write(lambda connection: _mark(connection, node_id, ranges, now_ms))

    async def receipt(self, node_id: bytes, rows: Sequence[courier.Row]) -> bytes:
        if any((node_id, row) not in self._decided for row in rows) or not 1 <= len(rows) <= courier.ROWS_MAX:
            raise courier.CourierRefused("nothing of that kind was taken in this visit", code="courier_not_taken")
        return courier.receipt_file(self._hub.keys.hub.sign, node_id, self._hub.wall_ms(), rows)

    async def downs(self) -> tuple[DownName, ...]:
        names = await self._hub.store.read(_names)
        return tuple(name for name in names if self._may_have(name.node_id))

    async def down(self, name: DownName) -> bytes:
        blob = await self._hub.store.read(lambda connection: _blob(connection, name))
        if blob is None or not self._may_have(name.node_id):
            return b""
        return courier.down_file(self._hub.keys.hub.sign, name.node_id, name.seq, blob)

    async def revoked(self) -> tuple[bytes, ...]:
        await self._hub.tell_revocations()
        return tuple(await self._hub.store.read(revocations.lists))

    async def offer(self, node_id: bytes, release: bytes, release_signature: bytes) -> bytes:
        parse_release(release)
        if node_id != courier.EVERY_NODE and not self._may_have(node_id):
            raise courier.CourierRefused("no node of ours", code="courier_not_ours")
        if len(release_signature) != seal.SIGNATURE_BYTES:
            raise courier.CourierRefused("no signature of an update key", code="update_signature")
        now_ms = self._hub.wall_ms()
        return courier.update_file(self._hub.keys.hub.sign, node_id, now_ms, now_ms, release, release_signature)

    async def due(self, sha256: str) -> tuple[bytes, ...] | None:
        now_ms = self._hub.wall_ms()
        found = await self._hub.store.read(lambda connection: waves.offered_to(connection, sha256, now_ms))
        return None if found is None else tuple(bytes.fromhex(node_id) for node_id in found)

    def _may_have(self, node_id: bytes) -> bool:
        record = self._hub.directory.by_id(node_id)
        return record is not None and not record.revoked

    async def answer(self, question: Question) -> Answer:
        """Answer a question that came through the socket. Raises what refuses it."""
        match question:
            case GiveUps(raws, replaced):
                return Verdicts(await self.take_ups(raws, replaced=replaced))
            case GiveStored(raw):
                return Marked(await self.take_stored(raw))
            case AskReceipt(node_id, rows):
                return File(await self.receipt(node_id, rows))
            case AskDowns():
                return DownNames(await self.downs())
            case AskDown(name):
                return File(await self.down(name))
            case AskRevoked():
                return Lists(await self.revoked())
            case AskOffer(node_id, release, release_signature):
                return File(await self.offer(node_id, release, release_signature))
            case AskDue(sha256):
                return Due(await self.due(sha256))
            case AskWho():
                return Who(await self.who())


def _mark(connection: Connection, node_id: bytes, ranges: Sequence[tuple[int, int]], now_ms: int) -> int:
    """Blobs in these ranges are held by the node; how many of them were not known to be."""
    mine = (down.c.node_id == node_id.hex(), down.c.stored_ms == 0)
    told = [row.seq for row in connection.execute(select(down.c.seq).where(*mine)) if _is_in(row.seq, ranges)]
    for seq in told:
        connection.execute(update(down).where(*mine, down.c.seq == seq).values(stored_ms=now_ms))
    return len(told)


def _is_in(seq: int, ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether ascending ranges that do not touch hold a number."""
    at = bisect_right(ranges, seq, key=itemgetter(0)) - 1
    return at >= 0 and seq <= ranges[at][1]


def _names(connection: Connection) -> list[DownName]:
    query = select(down.c.node_id, down.c.seq).where(down.c.stored_ms == 0)
    query = query.order_by(down.c.cls, down.c.node_id, down.c.seq)
    return [DownName(bytes.fromhex(row.node_id), row.seq) for row in connection.execute(query)]


def _blob(connection: Connection, name: DownName) -> bytes | None:
    mine = (down.c.node_id == name.node_id.hex(), down.c.seq == name.seq, down.c.stored_ms == 0)
    found = connection.execute(select(down.c.blob).where(*mine)).scalar()
    return None if found is None else bytes(found)


class RemoteDesk:
    """The running hub, asked through its socket."""

    def __init__(self, client: ControlClient) -> None:
        self._asker: Asker[Question] = Asker(client, _answers)

    async def who(self) -> bytes:
        return (await self._asker.ask(AskWho(), Who)).sign_public

    async def take_ups(self, raws: Sequence[bytes], *, replaced: bool) -> tuple[Verdict, ...]:
        return (await self._asker.ask(GiveUps(tuple(raws), replaced), Verdicts)).items

    async def take_stored(self, raw: bytes) -> int:
        return (await self._asker.ask(GiveStored(raw), Marked)).count

    async def receipt(self, node_id: bytes, rows: Sequence[courier.Row]) -> bytes:
        return (await self._asker.ask(AskReceipt(node_id, tuple(rows)), File)).raw

    async def downs(self) -> tuple[DownName, ...]:
        return (await self._asker.ask(AskDowns(), DownNames)).items

    async def down(self, name: DownName) -> bytes:
        return (await self._asker.ask(AskDown(name), File)).raw

    async def revoked(self) -> tuple[bytes, ...]:
        return (await self._asker.ask(AskRevoked(), Lists)).items

    async def offer(self, node_id: bytes, release: bytes, release_signature: bytes) -> bytes:
        return (await self._asker.ask(AskOffer(node_id, release, release_signature), File)).raw

    async def due(self, sha256: str) -> tuple[bytes, ...] | None:
        return (await self._asker.ask(AskDue(sha256), Due)).node_ids


def control(hub: Hub) -> ControlServer:
    """The socket of a running hub."""
    return ControlServer(hub.settings.data, lambda: answerer(_questions, Desk(hub).answer))
