"""What the node does for the people in the room: unlock, log in, record, look up, show.

Stands between the web handlers and the store; the link and the calls hang on it as listeners. Knows
no HTTP and no socket. Time comes from :class:`edge.node.clock.Clock`.
"""

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import msgspec

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.decide import Actor
from edge.model.errors import Forbidden, NotFound, Refusal, UpkendraError
from edge.model.fold import Visit
from edge.model.progress import ItemLine, Line
from edge.model.records import Role
from edge.sync.bundle import BundlePayload
from edge.sync.link import BundleRef, LinkState
from edge.sync.seal import hkdf
from edge.web.logs import say
from edge.web.refusals import Locked, Unauthorised, WrongPin
from edge.web.sessions import Session, SessionBook

from .clock import Clock
from .config import NodeConfig
from .dayslots import DaySlots
from .here import Here, queue_of
from .journal import SCHEMA, SOFTWARE, Journal, Outgoing, Secrets
from .live import Link, QueueChanged, Tablets, VisitChanged
from .replies import Reply
from .revoked import Revoked
from .sealing import AUDIT_S, SealPlan, delay_s
from .staff import keep_slot, may_get_badge, new_badge
from .store import Store
from .stretch import SALT_BYTES, stretch
from .uncovered import Pending
from .unlock import Attempts, Slot, Slots, open_with_badge, open_with_day, open_with_hub
from .views import Staff, Views
from .web.schema import Queue, VisitPage

logger = logging.getLogger("edge.node")

SESSION_IDLE_S = 2 * 60.0
"""security.md S3; the PIN brings back the screen that was left, with what was typed."""
SESSION_MAX_S = 14 * 3600.0
SEAL_AGAIN_S = 5.0
"""What could not be sealed is tried again after so long."""
AUDIT_AGAIN_S = 600.0
"""The same person reading the same record again within this time is one access."""
VERSION = SOFTWARE.rpartition(" ")[2]


class CommandRefused(UpkendraError):
    """The rules refuse this command; the refusal says why. Nothing was recorded."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Clinic:
    """One node's service. Everything awaitable here is quick except PIN checks (about 0.3 s)."""

    def __init__(
        self,
        folder: Path,
        config: NodeConfig,
        run: bytes,
        pack: Callable[[BundlePayload], bytes],
        seal: Callable[[bytes], BundleRef],
    ) -> None:
        """``pack`` runs in a thread; ``seal`` seals its result under the present epoch. Reads two small files."""
        self.folder = folder
        self.config = config
        self.run = run
        self.store = Store(folder, config, run)
        self.revoked = Revoked(folder, config)
        self.clock = Clock(folder, lambda: time.time_ns() // 1_000_000)
        self.sessions = SessionBook(idle_s=SESSION_IDLE_S, max_s=SESSION_MAX_S)
        self.tablets = Tablets(lambda token: self.sessions.is_live(token, time.monotonic()))
        self.secrets: Secrets | None = None
        self.sent: set[bytes] = set()
        """Bundles that have left towards the hub since the link was last found open, and wait for its answer."""
        self.notices: dict[str, int] = {}
        """What the hub wants a person to know: code → when it said so last, Unix ms."""
        self.link_now: Callable[[], LinkState] | None = None
        """Asks the endpoint how the link stands."""
        self.on_unlocked: list[Callable[[], Awaitable[None]]] = []
        self.on_sealed: list[Callable[[Outgoing], None]] = []
        self.more_lines: list[Callable[[Visit], Awaitable[list[ItemLine]]]] = []
        """Whoever carries things of a visit on another way than the log adds their lines here."""
        self.sms_fitted = False
        self.more_to_seal: Callable[[], Awaitable[None]] | None = None
        """Seals photos and notes, which must never hold up an entry; asked after the entries are sealed."""
        self.rest_to_seal: Callable[[], Awaitable[None]] | None = None
        """Seals all photos and notes that are attached now, those too that can still be taken back for a moment."""
        self._slots = Slots(folder)
        self.days = DaySlots(folder, self.clock, time.monotonic)
        self.day_closed = False
        """From the closing of the day until this process ends: as good as locked for everybody."""
        self.on_closed: list[Callable[[], None]] = []
        """Called when the day is closed: whoever runs the process locks the records by starting it anew."""
        self._opened = False
        """The records are open, and whoever waits for that was told."""
        self._dmk = b""
        """While the records are open; the cipher of their file holds as much."""
        self._attempts = Attempts(folder, time.monotonic)
        self._plan = SealPlan()
        self._alarm: asyncio.TimerHandle | None = None
        self._pack, self._seal = pack, seal
        self._one_sealer = asyncio.Lock()
        self._unlocking = asyncio.Lock()
        self._seen: dict[tuple[str, str], float] = {}
        self._roles: dict[str, Role] = {}
        self._told: tuple[tuple[tuple[Here, ...], frozenset[bytes], int], Queue] | None = None
        """The queue as it was told last, and what it was made of."""
        self._background: set[asyncio.Task[None]] = set()

    @property
    def locked(self) -> bool:
        return self.store.locked

    # -- unlocking and staff --------------------------------------------------------------------------

    async def unlock(self, badge: str, pin: str) -> None:
        """Open the records with a badge and its PIN. Raises BadInput, WrongPin, TooManyAttempts."""
        async with self._unlocking:
            self._need_day()
            slots = await asyncio.to_thread(self._slots_left)
            dmk = await open_with_badge(slots, self._attempts, badge, pin)
            if not self._opened:
                await self.open_records(dmk)

    async def unlock_by_day(self, tablet: bytes, tablet_age_s: float, pin: str) -> str:
        """Open the records with the day slot of a tablet and the PIN that it was made with; whose PIN it is.

        Raises DaySlotGone, WrongPin, TooManyAttempts.
        """
        async with self._unlocking:
            self._need_day()
            if self.revoked.told is not None:
                await self.days.obey(self.revoked.told.content)
            if self.revoked.why_out:
                await self.days.erase()
            slot = self.days.find(tablet, tablet_age_s)
            dmk = await open_with_day(slot, self._attempts, tablet, pin)
            if not self._opened:
                await self.open_records(dmk)
        return slot.staff_id

    def has_hub_slot(self) -> bool:
        """Whether the hub can open this node. Blocking."""
        return any(slot.kind == "hub" for slot in self._slots.load())

    async def unlock_by_hub(self, secret: bytes) -> bool:
        """Open the records with what the hub has released; False when it opens nothing here."""
        async with self._unlocking:
            if self.day_closed or self.revoked.why_out:
                return False
            dmk = await open_with_hub(await asyncio.to_thread(self._slots.load), secret)
            if dmk is not None and not self._opened:
                await self.open_records(dmk)
                self.later(self._access("", "unlocked_by_hub", ""))
        return dmk is not None

    def _need_day(self) -> None:
        if self.day_closed:
            raise Locked("The day was just closed. Wait a few seconds, then unlock.")

    async def close_day(self, staff_id: str) -> int:
        """The day is over: erase the day slots, end all sessions, lock; how many slots there were."""
        self.day_closed = True
        try:
            erased = await self.days.erase()
            await self._access(staff_id, "day_closed", "")
            say(logger, "day_closed", slots=erased)
        finally:  # a full disk must not leave the records open, and nobody able to unlock until the next power cut
            for token in self.sessions.close_everybody():
                await self.tablets.end_session(token)
            for listener in self.on_closed:
                listener()
        return erased

    async def forget_others(self, staff_id: str, token: str, keep: Collection[str]) -> int:
        """A tablet is lost: all but the asking one are logged out and wiped; how many sessions ended.

        ``token``: the asking session; ``keep``: names of the asking tablet's own day slots.
        """
        await self.days.lose_others(keep)
        ended = self.sessions.close_others(token)
        for one in ended:
            await self.tablets.end_session(one)
        await self._access(staff_id, "tablets_forgotten", "")
        say(logger, "tablets_forgotten", sessions=len(ended))
        return len(ended)

    def draft_key(self, staff_id: str, tablet: bytes) -> tuple[str, bytes]:
        """What a tablet seals under, as long as the node does not have it: the slot's name, and 32 B.

        The same at every asking while the slot stands, after a restart too; kept nowhere. Raises DaySlotGone.
        """
        slot_id = self.days.name_of(tablet, staff_id)
        return slot_id.hex(), hkdf(self._dmk, b"draft" + slot_id)

    async def open_records(self, dmk: bytes) -> None:
        """Open the records, tell whoever waits for that, seal what no bundle covers."""
        if self.locked or self.secrets is None:  # else an earlier opening broke off after this
            self.secrets = await self.store.unlock(dmk)
        self._dmk = dmk
        self.clock.worked(await self.store.read(Views.last_ms))
        started = ev.RunStarted(SOFTWARE, SCHEMA)
        await self.store.write(lambda journal: journal.record([started], "", self.clock.now()))
        await self.store.write(lambda journal: journal.list_staff(self.clock.now()))
        for listener in self.on_unlocked:
            await listener()
        await self.seal_now()
        self._opened = True
        say(logger, "unlocked")
        self.tablets.push(QueueChanged())

    async def give_badge(self, staff_id: str, opener: tuple[str, str], pin: str) -> str:
        """A badge with ``pin`` for somebody who has none here; ``opener``: badge and PIN of one who vouches.

        Raises Locked, NotFound, Refused (has a badge), BadInput, WrongPin, TooManyAttempts.
        """
        async with self._unlocking:
            slots = await asyncio.to_thread(self._slots_left)
            dmk = await open_with_badge(slots, self._attempts, *opener)
            await self.store.read(lambda views: may_get_badge(views.staff_member(staff_id)))
            self._need_standing(staff_id)
            made = await new_badge(dmk, staff_id, pin)
            await asyncio.to_thread(keep_slot, self.folder, made)
            await self.store.write(lambda journal: journal.give_pin(staff_id, made, self.clock.now()))
        self.later(self._access("", "badge_given", staff_id))
        return made.text

    async def login(self, staff_id: str, pin: str, tablet: bytes = b"") -> tuple[Staff, Session, str]:
        """Begin a session; with the secret of a tablet also its day slot: its name, "" for none.

        Raises WrongPin, TooManyAttempts, Forbidden.
        """
        found = await self.store.read(lambda views: (views.staff_member(staff_id), views.verifier(staff_id)))
        subject = f"staff-{staff_id}" if found[0] else "staff-unknown"
        await self._attempts.begin(subject)
        staff, verifier = found
        salt = verifier[0] if verifier else bytes(SALT_BYTES)
        stretched = await stretch(pin, salt)
        if staff is None or verifier is None or not hmac.compare_digest(stretched, verifier[1]):
            raise WrongPin("Name or PIN is wrong.")
        await self._attempts.succeeded(subject)
        self._need_standing(staff_id)
        async with self._unlocking:
            if self._dmk and not self._opened:  # an opening broke off in the middle: no page asks for another
                await self.open_records(self._dmk)
        self._roles[staff_id] = staff.role
        self.later(self._access(staff_id, "login", ""))
        day_slot = ""
        if tablet and staff.role is not Role.TECHNICIAN and not (self.revoked.why_out or self.day_closed):
            day_slot = await self.days.put(self._dmk, tablet, staff_id, (salt, stretched))
        return staff, self.sessions.open(staff_id, time.monotonic()), day_slot

    def _slots_left(self) -> tuple[Slot, ...]:
        """The badges that open this node. A kill may have kept those of people who were removed: not now. Blocking."""
        if self.revoked.told is not None:
            self._slots.drop_of(self.revoked.told.content.staff)
        return self._slots.load()

    def _need_standing(self, staff_id: str) -> None:
        if not self.revoked.may_log_in(staff_id):
            raise Forbidden("The administrator has removed this person from this centre.", code="staff_removed")

    def role_of(self, staff_id: str) -> Role | None:
        """The role with which somebody logged in here; None for nobody."""
        return self._roles.get(staff_id)

    async def staff_of(self, staff_id: str) -> Staff:
        """Who a session belongs to. Raises Unauthorised when that person is no longer here."""
        staff = await self.store.read(lambda views: views.staff_member(staff_id))
        if staff is None or not self.revoked.may_log_in(staff_id):
            raise Unauthorised("This person can no longer log in here.")
        return staff

    async def take_revocations(self, raw: bytes) -> bool:
        """Keep the newest list of what is revoked and act on it; False when it is known. Raises RevocationRefused.

        Who was removed is logged out, and that person's badges open this node no more; a lost tablet sends all away.
        """
        if not await asyncio.to_thread(self.revoked.take, raw):
            return False
        told = self.revoked.told
        assert told is not None
        badges = await asyncio.to_thread(self._slots.drop_of, told.content.staff)
        tablets_lost = await self.days.obey(told.content)
        if self.revoked.why_out:
            await self.days.erase()
        ended = [token for staff_id in told.content.staff for token in self.sessions.close_all(staff_id)]
        for token in [*ended, *(self.sessions.close_everybody() if tablets_lost else ())]:
            await self.tablets.end_session(token)
        say(logger, "revocations_taken", number=told.number, revoked=bool(told.content.revoked_ms), badges=badges)
        return True

    # -- recording ------------------------------------------------------------------------------------

    async def command(self, command: cmd.Command, staff_id: str) -> Reply:
        """Decide and record a command. Raises CommandRefused, Locked."""
        staff = await self.staff_of(staff_id)
        actor = Actor(staff.staff_id, staff.role)
        outcome = await self.store.write(lambda journal: journal.apply(command, actor, self.clock.now()))
        if isinstance(outcome, Refusal):
            raise CommandRefused(outcome)
        self.seal_soon(delay_s(command, outcome.visit))
        if outcome.visit is not None:
            self.tablets.push(VisitChanged(outcome.visit.visit_id, command.command_id))
        elif isinstance(command, cmd.AmendPatient):
            self.tablets.push(QueueChanged())
        return outcome

    async def record(self, *events: ev.Event) -> None:
        """Record what the machine itself has seen."""
        await self.store.write(lambda journal: journal.record(events, "", self.clock.now()))
        self.seal_soon(0.0)
        for visit_id in {ev.visit_of(event) for event in events} - {""}:
            self.tablets.push(VisitChanged(visit_id))

    async def accessed(self, staff_id: str, action: str, subject: str) -> None:
        """Audit that a person looked at something; the same again within ten minutes counts once."""
        key, now_s = (staff_id, action + subject), time.monotonic()
        if now_s - self._seen.get(key, -AUDIT_AGAIN_S) < AUDIT_AGAIN_S:
            return
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[key] = now_s
        self.later(self._access(staff_id, action, subject))

    async def _access(self, staff_id: str, action: str, subject: str) -> None:
        event = ev.Accessed(action, subject)
        await self.store.write(lambda journal: journal.record([event], staff_id, self.clock.now()))
        self.seal_soon(AUDIT_S, audit=True)

    def later(self, work: "Awaitable[None]") -> None:
        """Do something without anybody waiting for it; a failure is logged."""

        async def guarded() -> None:
            try:
                await work
            except Locked:
                pass
            except Exception:
                logger.exception("background work failed")

        task = asyncio.create_task(guarded())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- sealing --------------------------------------------------------------------------------------

    def seal_soon(self, wait_s: float, *, audit: bool = False) -> None:
        """Seal what was committed at once, or within ``wait_s`` together with what else comes until then."""
        self._plan.want(time.monotonic(), wait_s, audit=audit)
        self._arm()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._plan.next_s is not None:
            wait_s = max(0.0, self._plan.next_s - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(wait_s, lambda: self.later(self._seal_due()))

    async def _seal_due(self) -> None:
        await self._seal_all(everything=False)

    async def seal_now(self) -> None:
        """Seal every committed entry and hand the bundles to whoever sends them."""
        await self._seal_all(everything=True)

    async def seal_whole(self) -> None:
        """As :meth:`seal_now`, and returns when the photos that were attached until now are sealed too."""
        await self.seal_now()
        if self.rest_to_seal is not None:
            await self.rest_to_seal()

    async def _seal_all(self, *, everything: bool) -> None:
        async with self._one_sealer:
            # Before the entries are read: what is committed from now on needs its own.
            audit = self._plan.take(time.monotonic(), everything=everything)
            self._arm()
            try:
                for piece in await self.store.write(lambda journal: journal.pending(audit=audit)):
                    packed = await asyncio.to_thread(self._pack, piece.payload)
                    outgoing = await self.store.write(_keeper(piece, self._seal(packed)))
                    for listener in self.on_sealed:
                        listener(outgoing)
            except Exception:  # a full disk: what is left would lie here until somebody says something else
                self.seal_soon(SEAL_AGAIN_S)
                if audit:
                    self.seal_soon(SEAL_AGAIN_S, audit=True)
                raise
        self.seal_media()

    def seal_media(self) -> None:
        """Seal what is due of photos and the like."""
        if self.more_to_seal is not None:
            self.later(self.more_to_seal())

    # -- the link -------------------------------------------------------------------------------------

    async def link_state(self) -> Link:
        """How the link stands, by what the hub has acknowledged; the backlog is what lies in the outbox."""
        items, size_bytes = await self.store.outbox(lambda outbox: outbox.backlog())
        if self.link_now is None:
            return Link(False, None, "", 0, 0, items, size_bytes)
        told = self.link_now()
        age_s = None if math.isinf(told.last_ack_age_s) else round(told.last_ack_age_s, 1)
        return Link(
            told.online,
            age_s,
            told.bearer,
            told.rtt_ms,
            told.rate_bps,
            items,
            size_bytes,
            told.today_bytes,
            told.cap_bytes,
            told.waits.value,
            told.waiting_items,
            told.waiting_bytes,
        )

    # -- looking up -----------------------------------------------------------------------------------

    async def queue(self) -> Queue:
        """Everybody who is here: first those who wait in their order, then the others by their opening, then those
        who did not come when they were called."""
        now_ms = self.clock.now().wall_ms
        sent = frozenset(self.sent)
        here = await self.store.here(now_ms)
        asked = (here, sent, now_ms // 1000)
        if self._told is not None and self._told[0] == asked and not self.sms_fitted:
            return self._told[1]  # several tablets load it after the same change
        signs = [await self._sms_sign(one.visit) for one in here] if self.sms_fitted else [""] * len(here)
        queue = queue_of(list(zip(here, signs, strict=True)), sent, now_ms)
        self._told = (asked, queue)
        return queue

    async def page(self, visit_id: str) -> VisitPage:
        """All of a visit's page. Raises NotFound."""
        sent = frozenset(self.sent)

        def load(views: Views) -> VisitPage | None:
            visit = views.visit(visit_id)
            patient = views.patient(visit.patient_id) if visit is not None else None
            if visit is None or patient is None:
                return None
            return VisitPage(visit, patient, *views.lines(visit, sent))

        found = await self.store.read(load)
        if found is None:
            raise NotFound("No such visit is known here, or not its patient.")
        return msgspec.structs.replace(found, sync=found.sync + await self._more(found.visit))

    async def visit(self, visit_id: str) -> Visit:
        """A visit. Raises NotFound."""
        visit = await self.store.read(lambda views: views.visit(visit_id))
        if visit is None:
            raise NotFound("No such visit is known here.")
        return visit

    async def _sms_sign(self, visit: Visit) -> str:
        return next((line.state.value for line in await self._more(visit) if line.item == "sms"), "")

    async def _more(self, visit: Visit) -> list[ItemLine]:
        return [line for more in self.more_lines for line in await more(visit)]

    async def lines(self, visit: Visit) -> tuple[list[ItemLine], Line]:
        """How far each item of a visit has come, and the visit as a whole."""
        sent = frozenset(self.sent)
        items, line = await self.store.read(lambda views: views.lines(visit, sent))
        return items + await self._more(visit), line

    async def finish(self) -> None:
        """Let background work end, then seal the heads of this run."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._background:
            await asyncio.wait(set(self._background), timeout=5.0)
        if not self.locked:
            await self.store.write(Journal.close_run)
            await self.seal_now()


def _keeper(piece: Pending, ref: BundleRef) -> Callable[[Journal], Outgoing]:
    return lambda journal: journal.sealed(piece, ref)
