"""Calls at patients' own telephones: what a node's call desk is for a clinic, for pages of patients.

A ring goes to every open page of the account and waits for one that opens; who takes it is in the call. What the page
received is written as the node's side of the proof of consultation, and the visit moves with its call. Knows no HTTP.

Pages of one patient, and her doctor's, may be at several processes of the hub. Each knows all calls; the one that holds
the page in a call says what it hears from it, and writes the end. When it dies, the others go on from what it said
last. Time is counted by a clock that nobody sets.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Final, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection, select

from edge.media.call import Phase
from edge.media.signals import Accept, Bye, Candidate, Offer, Report, Ring, Signal
from edge.web.often import Often
from edge.web.refusals import TooManyAttempts

from .. import fanout as fan
from .. import views
from ..heard import Heard, heard, nothing
from ..live import END_AGAIN_S, Live
from ..live_sides import CallRefused, VisitChanged
from ..peers import Peers
from ..store.schema import calls
from . import rows
from .desk import HomeDesk
from .gateway import Kind
from .held import HomeCall, Page, held_of, write_begin, write_end
from .sites import is_home

logger = logging.getLogger("hub.home")
RING_S: Final = 60.0
"""As a node rings (:class:`edge.media.call.Limits`)."""
SILENCE_S: Final = 120.0
"""A call from whose page nothing has come for so long is over."""
LOOK_S: Final = 1.0
TAKE_OVER_S: Final = 15.0
"""So often the process that leads looks for calls of which nobody told it."""
GRACE_S: Final = 3.0
"""So long the process of the page has to write the end of its call before another one does."""
PAGES_MAX: Final = 8
"""Open pages of one account: a family's telephones."""
KNOWN_MAX: Final = 50_000
"""So many visits are known by their accounts before those without a page are forgotten."""
NEAR_BEFORE: Final = 2
"""With so many or fewer before her a patient is told that her turn is near (ours, unsourced - verify)."""
T = TypeVar("T")
Told: TypeAlias = Signal | VisitChanged | CallRefused
_signal = msgspec.json.Decoder(Signal)
_report = msgspec.json.Decoder(Report)
_to_json = msgspec.json.Encoder().encode


class HomeCalls:
    """All pages of patients of this process, and the calls at them."""

    def __init__(self, home: HomeDesk, live: Live, monotonic_s: Callable[[], float]) -> None:
        self._home = home
        self._live = live
        self._monotonic_s = monotonic_s
        self.fanout: fan.Fanout = fan.Alone()
        self.peers: Peers | None = None
        """Other processes of this hub, when there are some."""
        self._pages: set[Page] = set()
        self._owner: dict[str, str] = {}
        """Visit → the account whose pages hear of it; "" for a visit of a node."""
        self._calls: dict[str, HomeCall] = {}
        self._took_over_s = 0.0
        self._ended_meanwhile: set[str] | None = None
        """Calls that have ended since the table of calls began to be read; None while nobody reads it."""
        self._changed: set[str] = set()
        self._near: set[str] = set()
        """Visits that were told that their turn is near, and have not changed since."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._often = Often(self.look, LOOK_S, logger, "patients at home could not be looked after")
        self._closing = asyncio.Event()

    # -- a running hub -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Take over the calls that an earlier process left, and begin to look."""
        await self._take_over()
        self._often.start()

    async def close(self) -> None:
        """Stop looking; finish what was begun, as far as the database takes it."""
        self._closing.set()
        await self._often.stop()
        await self.settled()

    async def settled(self) -> None:
        """What was begun is written."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_over(self) -> None:
        self._took_over_s = self._monotonic_s()
        ended = self._ended_meanwhile = set()
        query = select(calls).where(calls.c.phase != Phase.ENDED.value)
        try:
            found = await self._home.store.read(lambda connection: connection.execute(query).all())
        finally:
            self._ended_meanwhile = None
        for row in found:
            if self.is_home(row.node_id) and row.call_id not in ended:
                ring = Ring(row.call_id, row.visit_id, row.doctor_id)
                now_s = self._monotonic_s()
                taken_ms = 0 if row.phase == Phase.RINGING.value else row.started_ms
                ago_s = max(self._home.wall_ms() - row.started_ms, 0) / 1000
                self._calls.setdefault(row.call_id, HomeCall(ring, now_s - ago_s, None, taken_ms, now_s - ago_s, now_s))

    async def look(self) -> None:
        """One look: who did not take a call, whose turn is near, who has an answer."""
        now_s, leads = self._monotonic_s(), self._home.front.leads
        if leads and not self.fanout.alone and now_s - self._took_over_s >= TAKE_OVER_S:
            await self._take_over()
        for call_id, call in list(self._calls.items()):
            if call.page is None and not leads:
                continue  # one process ends what nobody holds
            if not call.taken_ms and now_s - call.rung_s >= RING_S:
                await self._live.from_home(call.ring.visit_id, Bye(call_id, "no_answer"))
            elif call.taken_ms and now_s - call.heard_s >= SILENCE_S:
                await self._live.from_home(call.ring.visit_id, Bye(call_id, "failed"))
        if leads:
            await self._home.tell_unseen()
        near = set(self._home.front.near(NEAR_BEFORE))
        for visit_id in near - self._near:
            await self._tell_near(visit_id)
        self._near &= near
        if len(self._owner) > KNOWN_MAX:
            self._owner = {
                visit_id: owner for visit_id, owner in self._owner.items() if owner and self.is_here(visit_id)
            }
        changed, self._changed = self._changed, set()
        for visit_id in changed:
            await self._look_at(visit_id)

    async def _look_at(self, visit_id: str) -> None:
        """Something about a visit has changed: an answer that nobody sees on a page is told by message."""
        owned = await self._home.store.read(lambda connection: views.load_visit(connection, visit_id))
        if owned is None or not self.is_home(owned.node_id) or self.is_here(visit_id):
            return
        for one in owned.visit.prescriptions:
            if not one.stored_ms:
                await self._home.tell(visit_id, Kind.ANSWERED, one.prescription_id)

    async def _tell_near(self, visit_id: str) -> None:
        """Once for each token: the store knows, also after a restart."""
        self._near.add(visit_id)
        if await self._owner_of(visit_id):
            owned = await self._home.store.read(lambda connection: views.load_visit(connection, visit_id))
            if owned is not None:
                await self._home.tell(visit_id, Kind.TURN_NEXT, owned.visit.token)

    # -- pages -------------------------------------------------------------------------------------

    async def add(self, page: Page) -> None:
        """A page has opened: it hears of its visits, and of calls that ring or run."""
        self._pages.add(page)  # at once: it is counted by :meth:`need_room`
        _, visits = await self._home.family(page.account_id)
        for visit in visits:
            self._owner[visit.visit_id] = page.account_id
        for call_id, call in list(self._calls.items()):  # others ring and end meanwhile
            if call_id in self._calls and self._owner.get(call.ring.visit_id) == page.account_id:
                page.tell(_to_json(await self._ring_of(call_id, call)).decode())

    async def _ring_of(self, call_id: str, call: HomeCall) -> Ring:
        """The ring as a page needs it; one that an earlier process heard has lost its servers."""
        if not call.ring.doctor_name:
            doctor = await self._home.desk.doctor(call.ring.doctor_id)
            servers = self._live.ice_servers(call_id)
            call.ring = msgspec.structs.replace(call.ring, doctor_name=doctor.name, ice_servers=servers)
        return call.ring

    def remove(self, page: Page) -> None:
        """A page has closed; its call waits for it to come back."""
        self._pages.discard(page)
        for call in self._calls.values():
            if call.page is page:
                call.page = None
                self._say_heard(call, here=False)

    def need_room(self, account_id: str) -> None:
        """Raise TooManyAttempts when so many pages of the account are open that one has to close first."""
        if sum(page.account_id == account_id for page in self._pages) >= PAGES_MAX:
            raise TooManyAttempts("This number has too many pages open. Close one of them.")

    def is_home(self, node_id: str) -> bool:
        return self._home.desk.directory.site(node_id).home

    def is_here(self, visit_id: str) -> bool:
        """Whether a page of the patient is open."""
        owner = self._owner.get(visit_id)
        if not owner:
            return False
        here = any(page.account_id == owner for page in self._pages)
        return here or (self.peers is not None and self.peers.has_family(owner))

    def accounts_here(self) -> frozenset[str]:
        """Who has a page open at this process."""
        return frozenset(page.account_id for page in self._pages)

    async def _owner_of(self, visit_id: str) -> str:
        """The account of a visit from home; "" for a node's visit, and for one that nobody has heard of."""

        def look(connection: Connection) -> str | None:
            owned = views.load_visit(connection, visit_id)
            if owned is None:
                return None
            if not is_home(connection, owned.node_id):  # another process may have made the site a moment ago
                return ""
            return next(iter(rows.accounts_of_patient(connection, owned.visit.patient_id)), "")

        if visit_id not in self._owner:
            owner = await self._home.store.read(look)
            if owner is None:
                return ""
            self._owner[visit_id] = owner
        return self._owner[visit_id]

    def visit_changed(self, visit_id: str) -> None:
        """Tell the patient's pages, and look at the visit soon."""
        if self._owner.get(visit_id) == "":
            return
        self._changed.add(visit_id)
        self._near.discard(visit_id)
        self._begin(self._tell_pages(visit_id, VisitChanged(visit_id)))

    async def _tell_pages(self, visit_id: str, message: Told, besides: Page | None = None) -> None:
        owner = await self._owner_of(visit_id)
        text = _to_json(message).decode()
        for page in self._pages:
            if owner and page.account_id == owner and page is not besides:
                page.tell(text)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("something about a call at home failed", exc_info=task.exception())

    # -- from the doctor (:class:`hub.live_sides.Homes`) --------------------------------------------------

    def say(self, call_id: str, visit_id: str, signal: Signal) -> None:
        """Something from the doctor: a ring to all pages, the rest to the one that is in the call."""
        call = self._calls.get(call_id)
        if isinstance(signal, Ring | Bye) or call is None or call.page is None:
            self.fanout.say(fan.ToHome(visit_id, _to_json(signal)))
        self._say(visit_id, signal)
        if isinstance(signal, Ring):
            self._begin(self._tell_turn(signal))

    def say_here(self, visit_id: str, body: bytes) -> None:
        """The same, from a doctor's page at another process."""
        self._say(visit_id, _signal.decode(body))

    def _say(self, visit_id: str, signal: Signal) -> None:
        call = self._calls.get(signal.call_id)
        if isinstance(signal, Ring):
            if call is None:
                self._calls[signal.call_id] = HomeCall(signal, self._monotonic_s())
            else:
                call.ring = signal
            self._begin(self._tell_pages(visit_id, signal))
        elif call is not None and call.page is not None:
            call.page.tell(_to_json(signal).decode())
        elif isinstance(signal, Bye):
            self._begin(self._tell_pages(visit_id, signal))

    async def _tell_turn(self, ring: Ring) -> None:
        await self._owner_of(ring.visit_id)
        if not self.is_here(ring.visit_id):
            await self._home.tell(ring.visit_id, Kind.TURN_NEXT, ring.call_id)

    def said_elsewhere(self, sender: bytes, said: fan.HomeSaid) -> None:
        """The page in a call is at another process, and lives."""
        call = self._calls.get(said.call_id)
        if call is None:
            return
        now_s = self._monotonic_s()
        if not said.here:
            call.holder = b"" if call.holder == sender else call.holder
            return
        if call.page is not None:
            if self.fanout.own < sender:  # two pages took it in the same moment: one of them has it, and hears nothing
                return
            call.page.tell(_to_json(_elsewhere(said.call_id)).decode())
            call.page = None
        if not call.taken_ms:
            call.taken_ms, call.taken_s = self._home.wall_ms(), now_s
        if call.holder != sender:
            self._begin(self._tell_pages(call.ring.visit_id, _elsewhere(said.call_id)))
        call.holder, call.heard_s = sender, now_s
        if said.last:
            call.figures = Heard(_report.decode(said.base), _report.decode(said.last))

    def _say_heard(self, call: HomeCall, *, here: bool = True) -> None:
        seen = call.figures
        base, last = (_to_json(seen.base), _to_json(seen.last)) if seen is not None else (b"", b"")
        self.fanout.say(fan.HomeSaid(call.ring.call_id, here, base, last))

    def running(self) -> frozenset[str]:
        return frozenset(self._calls)

    def over(self, call_id: str, reason: str) -> None:
        """The call has ended, whoever ended it."""
        self._note_end(call_id)
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._begin(self._write_end(call_id, call, reason))

    def over_elsewhere(self, call_id: str, reason: str) -> None:
        """Another process ended the call; who holds its page writes what it heard."""
        self._note_end(call_id)
        call = self._calls.get(call_id)
        if call is not None and call.page is not None:
            self.over(call_id, reason)
        elif call is not None:
            del self._calls[call_id]
            self._begin(self._tell_pages(call.ring.visit_id, Bye(call_id, reason)))

    def _note_end(self, call_id: str) -> None:
        """What was read before this call ended puts it back no more."""
        if self._ended_meanwhile is not None:
            self._ended_meanwhile.add(call_id)

    async def _write_end(self, call_id: str, call: HomeCall, reason: str) -> None:
        visit_id, now_ms = call.ring.visit_id, self._home.wall_ms()
        proof = held_of(call, reason, now_ms, self._monotonic_s() - call.taken_s) if call.taken_ms else None
        speaker = self._home.desk.speaker
        missed = reason == "no_answer" and not call.taken_ms
        self._begin(self._tell_pages(visit_id, Bye(call_id, reason)))
        if self._is_held_elsewhere(call):
            await asyncio.sleep(GRACE_S)
        blob = await self._insist(
            lambda connection: write_end(connection, speaker, call, proof, missed, self._home.wall_ms())
        )
        self._home.desk.tell(visit_id, blob)
        self._home.changed(visit_id)
        if missed:
            await self._home.tell(visit_id, Kind.MISSED, call_id)

    async def _insist(self, work: Callable[[Connection], T]) -> T:
        """Write until it is written: what a full disk refused would leave the visit in its call for ever."""
        while True:
            try:
                return await self._home.store.write(work)
            except Exception:
                if self._closing.is_set():
                    raise
                logger.exception("the end of a call at home was not written yet")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), END_AGAIN_S)

    # -- from the patient's page -------------------------------------------------------------------

    async def from_page(self, page: Page, text: str) -> None:
        """A message from a patient's page. What does not belong is answered with ``refused``, never raised."""
        try:
            signal = _signal.decode(text.encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            page.tell(_to_json(CallRefused("", "bad_input", "This is not a call signal.")).decode())
            return
        call = self._calls.get(signal.call_id)
        if call is None or await self._owner_of(call.ring.visit_id) != page.account_id:
            page.tell(_to_json(CallRefused(signal.call_id, "call_unknown", "There is no such call.")).decode())
            return
        other = call.page is not None and call.page is not page and call.page in self._pages
        if other or self._is_held_elsewhere(call):
            page.tell(_to_json(_elsewhere(signal.call_id)).decode())
            return
        call.heard_s = self._monotonic_s()
        match signal:
            case Accept() | Offer():
                await self._take(call, page, signal)
            case Candidate() if call.page is page:
                await self._live.from_home(call.ring.visit_id, signal)
            case Bye():
                await self._live.from_home(call.ring.visit_id, signal)
            case Report() if call.page is page:
                call.figures = (call.figures or heard(nothing(signal.call_id))).after(signal)
                self._say_heard(call)
            case _:
                words = "Only the doctor says this, or whoever is in the call."
                page.tell(_to_json(CallRefused(signal.call_id, "call_unknown", words)).decode())

    async def _take(self, call: HomeCall, page: Page, signal: Accept | Offer) -> None:
        visit_id, first = call.ring.visit_id, not call.taken_ms
        call.page, call.holder = page, b""
        if first:
            call.taken_ms, call.taken_s = self._home.wall_ms(), self._monotonic_s()
        self._say_heard(call)
        await self._live.from_home(visit_id, signal)
        if first:
            await self._tell_pages(visit_id, _elsewhere(signal.call_id), besides=page)
            if self._calls.get(signal.call_id) is not call:
                return  # it ended meanwhile, when there was nothing to move back
            speaker, now_ms = self._home.desk.speaker, self._home.wall_ms()
            await self._home.store.write(lambda connection: write_begin(connection, speaker, visit_id, now_ms))
            self._home.changed(visit_id)

    def _is_held_elsewhere(self, call: HomeCall) -> bool:
        """Whether the page of another process is in the call, as far as that process lives."""
        return bool(call.holder) and self.peers is not None and self.peers.lives(call.holder)


def _elsewhere(call_id: str) -> CallRefused:
    return CallRefused(call_id, "call_elsewhere", "This call was taken on another page.")
