"""The node's SMS side: emergencies leave when the hub acknowledges nothing, answers come in. Off unless asked for.

What is to be said is read from the records each time, so nothing clinical waits in a plain file; what comes is sealed
to the records key R before it is stored, so that a locked node keeps answers that only an unlocked one can read.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from edge.model.errors import BadInput, NotFound, UpkendraError
from edge.model.fold import Patient, Visit
from edge.model.ids import make_id
from edge.model.progress import ItemLine, SyncState, sms_line
from edge.model.records import Colour
from edge.sync import seal, sms
from edge.sync.bearers.sms import SmsBearer, SmsHealth
from edge.sync.bearers.sms_store import GoneSms, GotSms, SmsStore
from edge.sync.sms_copy import early_copy, visit_prefix
from edge.sync.sms_mail import Outcome, Sent, SmsNotSent
from edge.sync.sms_pdu import check_number
from edge.web.logs import say
from edge.web.often import Often

from .clinic import Clinic
from .here import QUEUE_DAYS_MS
from .live import QueueChanged, VisitChanged
from .views import Views

logger = logging.getLogger("edge.node.sms")

SMS_FILE = "sms.db"
LOOK_S = 5.0
AGAIN_MS = 15 * 60_000
"""Without a receipt, or with news, the same visit is told again after this time …"""
COPIES_MAX = 4
"""… so many times at most."""
FAILED_MS = 2 * 60_000
"""After a failure."""
REACHED = frozenset({"left", "delivered", "kept", "sms_timeout"})
UNACKNOWLEDGED = (SyncState.WAITING, SyncState.SENT)
_REST = b"upk1 sms rest"
_ADVICE = {advice.value: advice.name.lower() for advice in sms.Advice}


class SmsOptions(Struct, frozen=True):
    """How the command line wants it."""

    device: str
    hub_number: str
    budget: sms.SmsBudget = sms.SmsBudget()
    after_s: float = 60.0
    """An emergency that the hub has not acknowledged for so long leaves by SMS."""


def sms_options_of(device: str, number: str, per_day: int, after_s: float, cost_paise: int) -> SmsOptions | None:
    """Options from words of the command line; None without a modem. Raises BadInput, PduRefused."""
    if not device:
        return None
    if not number:
        raise BadInput("An SMS modem needs the hub's telephone number: --sms-hub.", field="sms-hub")
    if not 1 <= per_day <= 1000 or not 5 <= after_s <= 86_400 or cost_paise < 0:
        raise BadInput("1 to 1000 SMS a day, after 5 s to a day, at a price of 0 or more.", field="sms-cap")
    budget = sms.SmsBudget(min(per_day, 20), per_day, per_day // 4, cost_paise)
    return SmsOptions(device, check_number(number), budget, after_s)


class SmsLine(Struct, frozen=True):
    """One SMS about a visit."""

    way: str
    """``sent`` or ``came``."""
    at_ms: int
    state: str = ""
    """Of a sent one: waiting, left, delivered, kept (the hub has it), or a code."""
    advice: str = ""
    text: str = ""
    doctor: str = ""
    prescription_id: str = ""
    """A prescription is signed and comes with the link; nothing is given out on this line alone."""


class SmsDesk:
    """One node's SMS. ``start`` and ``stop`` in the loop."""

    def __init__(self, clinic: Clinic, folder: Path, options: SmsOptions) -> None:
        config = clinic.config
        self._clinic = clinic
        self._options = options
        self._store = SmsStore(folder / SMS_FILE)
        self._sealer = sms.SmsSealer(config.psk, config.node_id, sms.Way.UP, secrets.token_bytes(sms.BOOT_BYTES))
        self._ledger = sms.Ledger(options.budget, on_spend=self._store.spend)
        self._bearer = SmsBearer(options.device, options.hub_number, self._ledger, self._keep, self._outcome)
        self._sent = Sent()
        self._one_confirming = asyncio.Lock()
        self._since_s: dict[str, float] = {}
        self._often = Often(self._look, LOOK_S, logger, "looking for emergencies failed", first_s=LOOK_S)
        clinic.more_lines.append(self._item_lines)
        clinic.sms_fitted = True

    async def start(self) -> None:
        """Open the store and begin to look for the modem."""
        await self._store.open()
        await self._store.unsent()
        self._ledger.restore(await self._store.spent(self._now_ms()))
        await self._bearer.open()
        self._often.start()

    async def stop(self) -> None:
        """Let the modem go; what has not left is told anew after the next start."""
        await self._often.stop()
        await self._bearer.close()
        await self._store.close()

    @property
    def health(self) -> SmsHealth:
        return self._bearer.health

    def _now_ms(self) -> int:
        return self._clinic.clock.now().wall_ms

    # -- up -----------------------------------------------------------------------------------------

    async def _look(self) -> None:
        try:
            await self.look(asyncio.get_running_loop().time())
        except UpkendraError as error:
            say(logger, "sms_not_sent", logging.WARNING, code=error.refusal.code)

    async def look(self, now: float) -> None:
        """Tell every RED visit that the hub has not acknowledged for ``after_s``. Raises SmsNotSent."""
        if self._clinic.locked:
            return
        now_ms, sent = self._now_ms(), frozenset(self._clinic.sent)

        def load(views: Views) -> list[tuple[Visit, Patient | None]]:
            opened = [visit for visit in views.open_visits(now_ms - QUEUE_DAYS_MS) if visit.colour is Colour.RED]
            behind = [visit for visit in opened if views.lines(visit, sent)[1].state in UNACKNOWLEDGED]
            return [(visit, views.patient(visit.patient_id)) for visit in behind]

        behind = await self._clinic.store.read(load)
        self._since_s = {visit.visit_id: self._since_s.get(visit.visit_id, now) for visit, _ in behind}
        for visit, patient in behind:
            if now - self._since_s[visit.visit_id] >= self._options.after_s:
                try:
                    copy = early_copy(visit, patient, self._told_ms(), emergency=True)
                except Exception:  # one that cannot be told must not silence those behind it
                    logger.exception("an emergency has no summary")
                    say(logger, "sms_no_summary", logging.ERROR, visit_id=visit.visit_id)
                    continue
                told = await self._store.gone(copy.visit)
                if is_due(told, digest_of(copy), now_ms):
                    await self._send(copy, emergency=True)

    async def request(self, visit_id: str, parts: int = 2) -> None:
        """Send a summary because a person asked for it. Raises NotFound, Locked, SmsNotSent."""
        visit, patient = await self._clinic.store.read(lambda views: _both(views, visit_id))
        if visit is None:
            raise NotFound("No such visit is known here.")
        copy = early_copy(visit, patient, self._told_ms(), emergency=visit.colour is Colour.RED, parts=parts)
        await self._send(copy, emergency=copy.emergency)

    def _told_ms(self) -> int:
        now = self._clinic.clock.now()
        return now.wall_ms if now.trusted else 0

    async def _send(self, content: sms.EarlyCopy | sms.Receipt, *, emergency: bool) -> None:
        name, message = self._sealer.seal(sms.encode(content))
        node_id = self._clinic.config.node_id
        visit = content.visit if isinstance(content, sms.EarlyCopy) else b""
        kind = 1 if isinstance(content, sms.EarlyCopy) else 32
        await self._store.made(GoneSms(node_id, name, kind, visit, digest_of(content), b"", self._now_ms()))
        try:
            key = self._bearer.submit(message, self._options.hub_number, emergency=emergency)
        except SmsNotSent as error:
            await self._store.became(name, error.refusal.code)
            raise
        self._sent.add(key, name)
        say(logger, "sms_sent", emergency=emergency, kind=kind)

    def _outcome(self, outcome: Outcome) -> None:
        if (became := self._sent.became(outcome)) is not None:
            self._clinic.later(self._became(*became))

    async def _became(self, name: bytes, state: str) -> None:
        await self._store.became(name, state)
        self._clinic.tablets.push(QueueChanged())

    # -- down ---------------------------------------------------------------------------------------

    async def _keep(self, number: str, message: bytes) -> None:
        """Store what the hub says, sealed to R; what is not the hub's is dropped."""
        config = self._clinic.config
        try:
            if sms.hint_of(message) != seal.node_hint(config.node_id):
                raise seal.SealRefused("for another node", code="sms_refused")
            opened = sms.open_sms(config.psk, sms.Way.DOWN, message)
            content = sms.decode(opened.content, sms.Way.DOWN)
        except UpkendraError as error:
            say(logger, "sms_refused", logging.WARNING, code=error.refusal.code)
            return
        kind, visit = 32, b""
        confirmed: tuple[bytes, ...] = ()
        if isinstance(content, sms.Receipt):
            confirmed = content.names
        else:
            kind, visit = (16 if isinstance(content, sms.Answer) else 17), content.visit
        rest = seal.hpke_seal(config.records_public, _REST + config.node_id, opened.content)
        got = GotSms(config.node_id, opened.name, kind, visit, "", rest, self._now_ms())
        fresh = await self._store.take(got, confirmed)
        if kind != 32:
            self._clinic.later(self._confirm(opened.name))
        if fresh and visit and not self._clinic.locked:
            for found in await self._clinic.store.read(_visits_by(visit, self._now_ms())):
                self._clinic.tablets.push(VisitChanged(found))

    async def _confirm(self, name: bytes) -> None:
        receipt = sms.Receipt((name,))
        try:
            async with self._one_confirming:
                if await self._store.may_confirm(self._clinic.config.node_id, digest_of(receipt), self._now_ms()):
                    await self._send(receipt, emergency=False)
        except SmsNotSent as error:
            say(logger, "sms_not_sent", logging.WARNING, code=error.refusal.code)

    async def _item_lines(self, visit: Visit) -> list[ItemLine]:
        told = await self._store.gone(visit_prefix(visit.visit_id))
        line = sms_line((gone.state, gone.at_ms) for gone in told)
        return [] if line is None else [line]

    async def lines(self, visit_id: str) -> list[SmsLine]:
        """Every SMS about a visit, oldest first. Raises Locked."""
        keys, config = self._clinic.secrets, self._clinic.config
        visit = await self._clinic.visit(visit_id)
        prefix = visit_prefix(visit.visit_id)
        lines = [SmsLine("sent", gone.at_ms, gone.state) for gone in await self._store.gone(prefix)]
        assert keys is not None
        for kind in (16, 17):
            for got in await self._store.got(kind, visit.opened_ms - QUEUE_DAYS_MS):
                if got.visit == prefix:
                    raw = await asyncio.to_thread(seal.hpke_open, keys.records, _REST + config.node_id, got.content)
                    lines.append(_line_of(sms.decode(raw, sms.Way.DOWN), got.at_ms))
        return sorted(lines, key=lambda line: line.at_ms)


def is_due(told: list[GoneSms], digest: bytes, now_ms: int) -> bool:
    """Whether a copy is to leave after those that were made before."""
    if not told:
        return True
    last = told[-1]
    if last.state == "waiting" or sum(gone.state in REACHED for gone in told) >= COPIES_MAX:
        return False
    if last.state not in REACHED:
        return now_ms - last.at_ms >= FAILED_MS
    return now_ms - last.at_ms >= AGAIN_MS and (last.state != "kept" or last.digest != digest)


def digest_of(content: sms.Content) -> bytes:
    """Of what is said, not when."""
    if isinstance(content, sms.EarlyCopy):
        content = structs.replace(content, at_min=0)
    return hashlib.sha256(msgspec.msgpack.encode(content)).digest()[:8]


def _line_of(content: sms.Content, at_ms: int) -> SmsLine:
    if isinstance(content, sms.Answer):
        advice = _ADVICE.get(content.advice, "read_the_text")
        return SmsLine("came", at_ms, "", advice, content.text, content.doctor)
    assert isinstance(content, sms.PrescriptionNotice)
    return SmsLine("came", at_ms, prescription_id=make_id(content.prescription))


def _both(views: Views, visit_id: str) -> tuple[Visit | None, Patient | None]:
    visit = views.visit(visit_id)
    return visit, views.patient(visit.patient_id) if visit is not None else None


def _visits_by(prefix: bytes, now_ms: int) -> Callable[[Views], list[str]]:
    def find(views: Views) -> list[str]:
        opened = views.standing_visits(now_ms - QUEUE_DAYS_MS)
        return [visit.visit_id for visit in opened if visit_prefix(visit.visit_id) == prefix]

    return find
