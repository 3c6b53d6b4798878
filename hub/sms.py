"""The hub's SMS side: early copies come in before their entries, answers go out. Off unless asked for.

A modem hangs on one machine, so its messages stand in a file of their own beside it (``sms.db``), their contents sealed
with the hub's data key. An early copy is shown until the visit's entries have arrived; it never becomes a record.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Coroutine

from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model.errors import NotFound, UpkendraError
from edge.model.fold import Visit
from edge.model.ids import ID_BYTES, id_bytes, make_id
from edge.sync import sms
from edge.sync.bearers.sms import SmsBearer, SmsHealth
from edge.sync.bearers.sms_store import GoneSms, GotSms, SmsStore
from edge.sync.seal import NodeRecord
from edge.sync.sms_copy import Shown, shown, visit_prefix
from edge.sync.sms_mail import Outcome, Sent, SmsNotSent
from edge.web.logs import say
from edge.web.often import Often

from . import audit, views
from .doctors import Doctor
from .hub import Hub
from .store.schema import visits

logger = logging.getLogger("hub.sms")

SMS_FILE = "sms.db"
PREFIX_CHARACTERS = 8
"""Of a visit's id: its first five bytes."""
SHOWN_MS = 36 * 3600 * 1000
"""Early copies that are older leave the list."""
NOTICE_AFTER_MS = 120_000
"""A prescription that the node has not stored for so long is announced by SMS."""
LOOK_S = 10.0
ON_ITS_WAY = frozenset({"waiting", "left", "delivered", "kept"})
_COPY, _ANSWER, _NOTICE, _RECEIPT = 1, 16, 17, 32


class SmsOptions(Struct, frozen=True):
    """How the command line wants it."""

    device: str
    budget: sms.SmsBudget = sms.SmsBudget(per_hour=120, per_day=1000, reserve=100)


class AnswerLine(Struct, frozen=True):
    """An answer and how far it came: waiting, left, delivered, kept (the node has it), or a code."""

    at_ms: int
    state: str


class EarlyItem(Struct, frozen=True):
    """The newest early copy of a visit. Device grade: said by the clinic's box, not signed by its records."""

    node_id: str
    site_code: str
    site_name: str
    early_id: str
    """The first eight characters of the visit's id."""
    came_ms: int
    copy: Shown
    answers: tuple[AnswerLine, ...]
    visit_id: str = ""
    """The visit itself, once its entries are here; such items are not in the queue any more."""


class SmsDesk:
    """The SMS of one hub process. ``start`` and ``stop`` in the loop."""

    def __init__(self, hub: Hub, options: SmsOptions) -> None:
        self._hub = hub
        hub.sms_fitted = True
        self._store = SmsStore(hub.settings.data / SMS_FILE)
        self._ledger = sms.Ledger(options.budget, on_spend=self._store.spend)
        self._bearer = SmsBearer(options.device, "", self._ledger, self.keep, self._outcome)
        self._sealers: dict[bytes, sms.SmsSealer] = {}
        """By PSK: a machine that takes a node's place has another one."""
        self._sent = Sent()
        self._one_confirming = asyncio.Lock()
        self._at_work: set[asyncio.Task[None]] = set()
        self._often = Often(self.look, LOOK_S, logger, "looking for prescriptions failed", first_s=LOOK_S)
        self.on_change: Callable[[], None] = hub.live.queue_changed

    async def start(self) -> None:
        """Open the store and begin to look for the modem."""
        await self._store.open()
        await self._store.unsent()
        self._ledger.restore(await self._store.spent(self._hub.wall_ms()))
        await self._bearer.open()
        self._often.start()

    async def stop(self) -> None:
        """Finish what was begun and let the modem go."""
        await self._often.stop()
        await self._bearer.close()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        await self._store.close()

    @property
    def health(self) -> SmsHealth:
        return self._bearer.health

    # -- up -----------------------------------------------------------------------------------------

    async def keep(self, number: str, message: bytes) -> None:
        """Store a node's message and say so; what is no enrolled node's is dropped."""
        found = self._open(message)
        if found is None:
            return
        record, opened, content = found
        node = record.node_id
        kind, visit = (_COPY, content.visit) if isinstance(content, sms.EarlyCopy) else (_RECEIPT, b"")
        confirmed = content.names if isinstance(content, sms.Receipt) else ()
        rest = self._hub.keys.protect(opened.content, _label(node, opened.name))
        got = GotSms(node, opened.name, kind, visit, number, rest, self._hub.wall_ms())
        fresh = await self._store.take(got, confirmed)
        if kind == _COPY:
            say(logger, "sms_early_copy", node_id=node.hex(), fresh=fresh)
            # A stranger may play a message that he overheard from a number that costs us money.
            if number == await self._store.number_of(node, opened.name):
                self._later(self._confirm(record, number, opened.name))
            if fresh:
                self.on_change()

    def _open(self, message: bytes) -> tuple[NodeRecord, sms.OpenedSms, sms.Content] | None:
        code = "sms_unknown_node"
        try:
            for record in self._hub.directory.by_hint(sms.hint_of(message)):
                if record.revoked:
                    continue
                try:
                    opened = sms.open_sms(record.psk, sms.Way.UP, message)
                except UpkendraError as error:
                    code = error.refusal.code
                    continue
                return record, opened, sms.decode(opened.content, sms.Way.UP)
        except UpkendraError as error:
            code = error.refusal.code
        say(logger, "sms_refused", logging.WARNING, code=code)
        return None

    async def _confirm(self, record: NodeRecord, number: str, name: bytes) -> None:
        receipt = sms.Receipt((name,))
        async with self._one_confirming:
            if await self._store.may_confirm(record.node_id, _digest_of(sms.encode(receipt)), self._hub.wall_ms()):
                await self._send(record.node_id, number, receipt, _RECEIPT, b"", emergency=False)

    # -- what doctors see and say -------------------------------------------------------------------

    async def early(self) -> list[EarlyItem]:
        """Early copies whose visits have not arrived, newest first."""
        newest = await self._newest()
        arrived = await self._hub.store.read(lambda connection: _arrived(connection, list(newest)))
        items = [await self._item(got) for place, got in newest.items() if place not in arrived]
        return sorted(items, key=lambda item: -item.came_ms)

    async def of_visit(self, node_id: str, visit_id: str) -> EarlyItem | None:
        """The early copy that a visit's entries have overtaken."""
        got = (await self._newest()).get((bytes.fromhex(node_id), visit_prefix(visit_id)))
        return None if got is None else await self._item(got, visit_id)

    async def answer(self, node_id: str, early_id: str, doctor: Doctor, advice: sms.Advice, text: str) -> EarlyItem:
        """Answer an early copy. Raises NotFound, SmsNotSent, SmsRefused(sms_too_long)."""
        got = next(
            (
                one
                for (node, visit), one in (await self._newest()).items()
                if node.hex() == node_id and visit_text(visit) == early_id
            ),
            None,
        )
        if got is None:
            raise NotFound("There is no such early copy.")
        content = sms.Answer(got.visit, advice.value, text, doctor.name)
        sms.parts_needed(sms.encode(content))
        now_ms = self._hub.wall_ms()
        await self._hub.store.write(
            lambda connection: audit.record(connection, now_ms, doctor.doctor_id, "sms_answered", early_id)
        )
        await self._send(got.node, got.number, content, _ANSWER, got.visit, emergency=True)
        return await self._item(got)

    async def _newest(self) -> dict[tuple[bytes, bytes], GotSms]:
        since_ms = self._hub.wall_ms() - SHOWN_MS
        return {(got.node, got.visit): got for got in await self._store.got(_COPY, since_ms)}

    async def _item(self, got: GotSms, visit_id: str = "") -> EarlyItem:
        raw = self._hub.keys.reveal(got.content, _label(got.node, got.name))
        content = sms.decode(raw, sms.Way.UP)
        assert isinstance(content, sms.EarlyCopy)
        site = self._hub.directory.site(got.node.hex())
        told = [gone for gone in await self._store.gone(got.visit) if gone.kind == _ANSWER and gone.node == got.node]
        answers = tuple(AnswerLine(gone.at_ms, gone.state) for gone in told)
        early_id = visit_text(got.visit)
        return EarlyItem(
            got.node.hex(), site.site_code, site.site_name, early_id, got.at_ms, shown(content), answers, visit_id
        )

    # -- down ---------------------------------------------------------------------------------------

    async def _send(
        self, node: bytes, number: str, content: sms.Content, kind: int, visit: bytes, *, emergency: bool
    ) -> None:
        record = self._hub.directory.by_id(node)
        if record is None or record.revoked:
            raise NotFound("There is no such node.")
        sealer = self._sealers.get(record.psk)
        if sealer is None:
            boot = secrets.token_bytes(sms.BOOT_BYTES)  # its own, so that no two nodes' messages have the same name
            sealer = self._sealers[record.psk] = sms.SmsSealer(record.psk, node, sms.Way.DOWN, boot)
        raw = sms.encode(content)
        name, message = sealer.seal(raw)
        rest = self._hub.keys.protect(raw, _label(node, name))
        await self._store.made(GoneSms(node, name, kind, visit, _digest_of(raw), rest, self._hub.wall_ms()))
        try:
            key = self._bearer.submit(message, number, emergency=emergency)
        except UpkendraError as error:
            await self._store.became(name, error.refusal.code)
            raise
        self._sent.add(key, name)

    def _outcome(self, outcome: Outcome) -> None:
        if (became := self._sent.became(outcome)) is not None:
            self._later(self._store.became(*became))

    async def look(self) -> None:
        """Announce prescriptions that do not reach their node, for visits of which an early copy came."""
        now_ms = self._hub.wall_ms()
        newest = await self._newest()
        arrived = await self._hub.store.read(lambda connection: _arrived(connection, list(newest)))
        for place, visit in arrived.items():
            got = newest[place]
            made = await self._store.gone(got.visit)
            digests = {gone.digest for gone in made if gone.kind == _NOTICE and gone.state in ON_ITS_WAY}
            for signed in visit.prescriptions:
                content = sms.PrescriptionNotice(
                    got.visit, id_bytes(signed.prescription_id), hashlib.sha256(signed.signed).digest()[:16]
                )
                known = _digest_of(sms.encode(content)) in digests
                if not signed.stored_ms and now_ms - signed.signed_ms > NOTICE_AFTER_MS and not known:
                    await self._announce(got, content)

    async def _announce(self, got: GotSms, content: sms.PrescriptionNotice) -> None:
        """One notice; a node that hears no SMS any more keeps nobody else's back."""
        try:
            await self._send(got.node, got.number, content, _NOTICE, got.visit, emergency=True)
        except UpkendraError as error:
            say(logger, "sms_not_sent", logging.WARNING, code=error.refusal.code)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except SmsNotSent as error:
                say(logger, "sms_not_sent", logging.WARNING, code=error.refusal.code)
            except Exception:
                logger.exception("SMS work failed")

        task = asyncio.create_task(guarded())
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)


def visit_text(prefix: bytes) -> str:
    """How the first bytes of a visit's id stand at its beginning."""
    return make_id(prefix + bytes(ID_BYTES - sms.VISIT_BYTES))[:PREFIX_CHARACTERS]


def _digest_of(raw: bytes) -> bytes:
    """Tells whether the same was said before."""
    return hashlib.sha256(raw).digest()[:8]


def _label(node: bytes, name: bytes) -> str:
    return f"sms {node.hex()} {name.hex()}"


def _arrived(connection: Connection, places: list[tuple[bytes, bytes]]) -> dict[tuple[bytes, bytes], Visit]:
    """The visits whose entries are here, by node and prefix: only the node's own visits can match its copies."""
    found: dict[tuple[bytes, bytes], Visit] = {}
    for node, prefix in places:
        text = visit_text(prefix)
        visit_id = connection.execute(
            select(visits.c.visit_id).where(visits.c.node_id == node.hex(), visits.c.visit_id.startswith(text))
        ).scalar()
        owned = views.load_visit(connection, visit_id) if visit_id is not None else None
        if owned is not None:
            found[node, prefix] = owned.visit
    return found
