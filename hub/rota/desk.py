"""The rota of a running hub: what stands in the store goes into the core, and what the core says goes to people.

Looks once a second, and at those open visits only that have become others (:mod:`hub.open_visits`). Knows no HTTP.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection

from edge.model import queue
from edge.model.errors import Refused
from edge.model.fold import Visit
from edge.model.records import Colour, VisitState
from edge.web.often import Often

from .. import audit, down, views
from ..desk import Desk, need_open, need_visit
from ..doctors import Doctor
from ..leader import Leader
from ..live import Live
from ..open_visits import Line
from . import gone, handing
from . import store as kept
from .core import EMERGENCY, GENERAL, Action, GotUp, Rota, Settings, Wanting, Why
from .core import Doctor as Seated
from .hours import Hours
from .seen import State, Unclaimed, unclaimed_of
from .words import Words

logger = logging.getLogger("hub.rota")
T = TypeVar("T")
LOOK_S: Final = 1.0
STEP_MS: Final = 2_000
"""By so much the wall clock may drift between two looks; more is somebody who set it."""
REFRESH_MS: Final = 15_000
"""What others changed, the calendar and who is ready, is read anew at least so often."""
AWAY_MS: Final = 20_000
"""A doctor whose pages are all closed for so long is asked for nobody."""
IN_HAND: Final = (VisitState.IN_CALL, VisitState.RX_PENDING, VisitState.WAITING)


class RotaDesk:
    """One rota for all doctors of this process."""

    def __init__(self, desk: Desk, live: Live, leader: Leader, monotonic_s: Callable[[], float], gone_s: int) -> None:
        """``leader``: what the rota writes by itself is written by the process that leads, or not at all."""
        self._desk = desk
        self._live = live
        self._leader = leader
        self._monotonic_s = monotonic_s
        self._settings = Settings(gone_s=gone_s, gone_red_s=min(gone_s, Settings().gone_red_s))
        self._hours = Hours()
        self._often = [Often(work, LOOK_S, logger, "the rota could not look") for work in (self.glance, self.tell)]
        self._one = asyncio.Lock()
        self._telling = asyncio.Lock()
        self._opened = desk.opened
        self._opened.on_change = self._moved_now
        self._begin()

    def _begin(self) -> None:
        """Know nothing yet."""
        self._rota = Rota(self._settings, self._is_open)
        self._sight = gone.Sight(self._desk.store, self._live.has_page)
        self._words = Words(self._desk, self._rota, self._write, self._monotonic_s)
        self._ready: dict[str, int] = {}
        """Doctors who said that they are ready → when a page of theirs was open last."""
        self._since: dict[str, int] = {}
        """The same → since when they are (:func:`hub.rota.store.put_ready`)."""
        self._ends: dict[str, int] = {}
        """The same → when the hours end for them, as far as it was computed."""
        self._people: dict[str, Seated] = {}
        self._held: dict[str, tuple[str, int]] = {}
        """Visit → its doctor, and since when."""
        self._stuck: frozenset[str] = frozenset()
        """Visits in the middle of something whose doctor is not there any more."""
        self._left: dict[str, tuple[gone.Left, ...]] = {}
        """Doctor → what went on without her."""
        self._moved = set(self._opened.ids())
        """Visits that became others since they were looked at."""
        self._dirty = True
        self._read_ms = 0
        self._offset_ms = self._offset()

    def _offset(self) -> int:
        """Between the wall clock and the one that no one sets."""
        return self._desk.wall_ms() - int(self._monotonic_s() * 1000)

    def _moved_now(self, visit_id: str) -> None:
        self._moved.add(visit_id)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._desk.store.write(self._leader.fenced(work))

    # A running hub

    async def start(self) -> None:
        """Take over what an earlier process knew."""
        self._begin()
        await self.reload()
        await self._opened.read_all()
        self._words.waits = await self._desk.store.read(kept.load_waits)
        now_ms = self._desk.wall_ms()
        for doctor, since_ms in await self._desk.store.read(kept.load_ready):
            self._sit(doctor, since_ms, now_ms)
        for one in self._often:
            one.start()

    async def stop(self) -> None:
        """Stop looking."""
        for one in self._often:
            await one.stop()

    async def reload(self) -> None:
        """Take over what others changed: the calendar, for whom doctors may be asked, and who has logged out."""
        self._hours = await self._desk.store.read(kept.load_hours)
        await self._load_left()
        self._read_ms = 0  # the next look places everybody by it
        self._ends.clear()
        before = dict(self._since)
        found = await self._desk.store.read(kept.load_ready)
        for name in before.keys() - {doctor.doctor_id for doctor, _ in found}:
            if self._since.get(name) == before[name]:  # else she has pressed Ready meanwhile
                self._get_up(name)
        for doctor, _ in found:
            if self._people.get(doctor.doctor_id, doctor) != doctor:
                self._people[doctor.doctor_id] = doctor
                if self._rota.is_ready(doctor.doctor_id):
                    self._rota.sit(doctor, self._desk.wall_ms())

    def _sit(self, doctor: Seated, since_ms: int, now_ms: int) -> None:
        name = doctor.doctor_id
        self._ready[name], self._since[name], self._people[name] = now_ms, since_ms, doctor
        self._ends.pop(name, None)
        self._rota.sit(doctor, now_ms)

    def _get_up(self, name: str) -> None:
        self._ready.pop(name, None)
        self._since.pop(name, None)
        self._ends.pop(name, None)
        self._rota.stand(name, self._desk.wall_ms())
        self._live.tell_rota(name)

    def _ends_ms(self, name: str) -> int:
        if name not in self._ready:
            return 0
        if name not in self._ends:
            who = self._people[name]
            self._ends[name] = self._hours.of(who.hours).ends_ms(self._since[name], who.districts)
        return self._ends[name]

    async def _load_left(self) -> None:
        since_ms = self._desk.wall_ms() - gone.LEFT_KEPT_MS
        self._left = await self._desk.store.read(lambda connection: gone.load_left(connection, since_ms))

    def changed(self) -> None:
        """Something about visits has changed."""
        self._dirty = True

    async def look(self) -> None:
        """One look: who waits, who sits, who is asked, what is told."""
        await self.glance()
        await self.tell()

    async def tell(self) -> None:
        """Tell nodes of the wait, as it was seen last."""
        async with self._telling:
            await self._words.tell(self._hours, self._desk.wall_ms())

    async def glance(self) -> None:
        """Who waits, who sits, who is asked; nobody who presses something waits for more."""
        async with self._one:
            await self._look()

    async def _look(self) -> None:
        now_ms = self._desk.wall_ms()
        stepped_ms, self._offset_ms = self._offset() - self._offset_ms, self._offset()
        if abs(stepped_ms) > STEP_MS:
            self._shift(stepped_ms)
        await self._sight.look({*self._ready, *(name for name, _ in self._held.values())}, now_ms)
        stuck, self._stuck = self._stuck, await self._leave_behind(now_ms)
        if self._dirty or now_ms - self._read_ms >= REFRESH_MS:
            if now_ms - self._read_ms >= REFRESH_MS:
                await self.reload()
                self._read_ms = now_ms
                self._moved.update(one.visit_id for one in self._rota.waiting() if self._has_moved(one))
            self._dirty = False
            await self._refresh(now_ms)
        await self._watch_pages(now_ms)
        before = self._rota.unclaimed
        await self._act(self._rota.tick(now_ms), now_ms)
        if self._rota.look(now_ms) != before or self._stuck != stuck:
            self._live.tell_rota()

    def _shift(self, by_ms: int) -> None:
        """The wall clock was set: nobody has rung, sat or been away for longer because of it."""
        self._rota.shift(by_ms)
        self._sight.shift(by_ms)
        self._ready = {name: at_ms + by_ms for name, at_ms in self._ready.items()}
        self._held = {visit_id: (name, at_ms + by_ms) for visit_id, (name, at_ms) in self._held.items()}
        self._words.shift(by_ms)
        self._read_ms = 0

    def _is_open(self, now_ms: int, district: str) -> bool:
        """Within the hours, or a doctor of this district sits outside them by her own will."""
        return self._hours.is_open(now_ms, district) or any(
            self._rota.is_ready(name) and district in (self._people[name].districts or {district})
            for name in self._ready
        )

    # From the store

    async def _refresh(self, now_ms: int) -> None:
        await self._opened.read()
        for visit_id in tuple(self._moved):
            self._moved.discard(visit_id)
            try:
                await self._place(visit_id, now_ms)
            except BaseException:
                self._moved.add(visit_id)
                raise

    async def _place(self, visit_id: str, now_ms: int) -> None:
        """Take over how a visit stands now: somebody has it, it waits, or neither."""
        line = self._opened.get(visit_id)
        visit = None if line is None else line.owned.visit
        if visit is not None and visit.doctor_name and visit.state in IN_HAND:
            await self._hold(visit_id, visit.doctor_id, now_ms)
        elif line is not None and gone.stands(line.owned.visit):
            await self._let_go(visit_id, now_ms)
            self._rota.want(self._wanting(line, now_ms), now_ms)
        else:
            self._rota.leave(visit_id)
            self._words.forget(visit_id)
            if visit is None or visit.state not in IN_HAND:
                await self._let_go(visit_id, now_ms)

    def _has_moved(self, one: Wanting) -> bool:
        """Whether the centre of somebody who waits belongs to another district now."""
        line = self._opened.get(one.visit_id)
        return line is not None and self._desk.directory.site(line.owned.node_id).district != one.district

    def _wanting(self, line: Line, now_ms: int) -> Wanting:
        owned, patient = line.owned, line.patient
        since_ms = views.since_ms(owned)
        return Wanting(
            owned.visit.visit_id,
            queue.first_rank(queue.Waiting(owned.visit, patient, since_ms), now_ms),
            since_ms,
            owned.visit.token_serial,
            self._desk.directory.site(owned.node_id).district,
            patient.person.language if patient else "hi",
            owned.visit.speciality or GENERAL,
            line.same_doctor,
            owned.visit.stamps.get("speciality", 0) >> 16 if owned.visit.speciality else 0,
        )

    async def _hold(self, visit_id: str, doctor_id: str, now_ms: int) -> None:
        if self._held.get(visit_id, ("", 0))[0] == doctor_id:
            return
        await self._let_go(visit_id, now_ms)
        self._held[visit_id] = (doctor_id, now_ms)
        self._rota.take(visit_id, doctor_id, now_ms)
        self._words.taken(visit_id, now_ms)

        def act(connection: Connection) -> None:
            kept.note_taken(connection, visit_id, doctor_id, now_ms)
            gone.forget_left(connection, visit_id, doctor_id)

        await self._write(act)

    def _is_gone(self, doctor_id: str, visit: Visit, now_ms: int) -> bool:
        """Whether a doctor has not been there for so long that a patient whom she took must not wait for her."""
        settings = self._settings
        patient_s = settings.gone_red_s if visit.colour is Colour.RED else settings.gone_s
        if visit.state is VisitState.IN_CALL:
            patient_s = max(patient_s, settings.gone_in_call_s)
        return self._sight.away_s(doctor_id, now_ms) >= patient_s

    async def _leave_behind(self, now_ms: int) -> frozenset[str]:
        """Let visits go on whose doctor is not there any more; those that wait for the coordinator now."""
        stuck = set()
        for visit_id, (doctor_id, _) in list(self._held.items()):
            visit = self._opened.visit(visit_id)  # one that was closed in this moment is let go by the next reading
            if visit is None or not self._is_gone(doctor_id, visit, now_ms):
                continue
            if visit_id in self._stuck or not await self._release(visit_id, doctor_id, now_ms):
                stuck.add(visit_id)
        return frozenset(stuck)

    async def _release(self, visit_id: str, doctor_id: str, now_ms: int) -> bool:
        speaker = self._desk.speaker
        blob = await self._write(lambda connection: gone.release(connection, speaker, visit_id, doctor_id, now_ms))
        if blob is None:
            return False
        del self._held[visit_id]
        self._rota.done(visit_id, doctor_id, now_ms)
        await self._went_on(visit_id, doctor_id, blob)
        return True

    async def _went_on(self, visit_id: str, doctor_id: str, blob: down.DownBlob) -> None:
        """A visit has left a doctor who is not there: tell all, and end the call that it had."""
        self._desk.tell(visit_id, blob)
        self._dirty = True
        await self._live.end_left(visit_id, doctor_id)
        await self._load_left()
        self._live.tell_rota(doctor_id)

    async def _let_go(self, visit_id: str, now_ms: int) -> None:
        doctor_id, since_ms = self._held.pop(visit_id, ("", 0))
        if not doctor_id:
            return
        self._rota.done(visit_id, doctor_id, now_ms)
        self._words.waits.served((now_ms - since_ms) / 1000)
        await self._write(lambda connection: kept.note_done(connection, visit_id, now_ms))

    async def _watch_pages(self, now_ms: int) -> None:
        """Who said that she is ready is asked while her page is open; it ends with the hours, and when she is gone."""
        for doctor_id, seen_ms in list(self._ready.items()):
            ends_ms = self._ends_ms(doctor_id)
            if 0 < ends_ms <= now_ms or self._sight.away_s(doctor_id, now_ms) >= self._settings.gone_s:
                await self._send_away(doctor_id)
            elif self._live.has_page(doctor_id):
                self._ready[doctor_id] = now_ms
                if not self._rota.is_ready(doctor_id):
                    self._rota.sit(self._people[doctor_id], now_ms)
            elif now_ms - seen_ms > AWAY_MS and self._rota.is_ready(doctor_id):
                self._rota.stand(doctor_id, now_ms)

    # To people

    async def _act(self, actions: list[Action], now_ms: int) -> None:
        for action in actions:
            if isinstance(action, GotUp):
                await self._send_away(action.doctor_id)
            self._live.tell_rota(action.doctor_id)

    async def _send_away(self, doctor_id: str) -> None:
        """She is ready no more, unless she presses Ready while this is written."""
        since_ms = self._since.get(doctor_id, 0)
        self._get_up(doctor_id)
        await self._write(lambda connection: kept.end_ready(connection, doctor_id, since_ms))

    # What doctors ask

    async def set_ready(self, doctor: Doctor, *, ready: bool, stays: bool = False) -> None:
        """The doctor sits, past the end of the present hours if she ``stays``, or gets up. What she took stays hers."""
        now_ms = self._desk.wall_ms()

        def act(connection: Connection) -> tuple[Seated, int]:
            profile = kept.load_profile(connection, doctor.doctor_id)
            seated, since_ms = kept.doctor_of(doctor.doctor_id, doctor.name, profile), now_ms
            hours = self._hours.of(seated.hours)
            if stays and hours.sits(now_ms, seated.districts):
                since_ms = hours.ends_ms(now_ms, seated.districts)
            kept.put_ready(connection, doctor.doctor_id, since_ms if ready else 0)
            audit.record(connection, now_ms, doctor.doctor_id, "ready" if ready else "away", doctor.doctor_id)
            return seated, since_ms

        seated, since_ms = await self._write(act)
        if ready:
            self._sit(seated, since_ms, now_ms)
        else:
            self._get_up(doctor.doctor_id)
        await self.glance()
        self._live.tell_rota()

    def state(self, doctor_id: str) -> State:
        """What a doctor's page shows."""
        now_ms = self._desk.wall_ms()
        offer = self._rota.offer_to(doctor_id) or ("", 0)
        ready = sum(self._rota.is_ready(name) for name in self._ready)
        return State(
            self._rota.is_ready(doctor_id),
            *offer,
            ready,
            self._hours.is_open(now_ms),
            self._hours.opens_ms(now_ms),
            now_ms,
            self._ends_ms(doctor_id),
            tuple(self._has_now(one) for one in self._left.get(doctor_id, ())),
            self._instead_of(offer[0]),
        )

    def _instead_of(self, visit_id: str) -> str:
        """The speciality that was asked for a visit and nobody who sits has."""
        visit = self._opened.visit(visit_id)
        return visit.speciality if visit is not None and self._rota.is_open_to_all(visit_id) else ""

    def _has_now(self, left: gone.Left) -> gone.Left:
        visit = self._opened.visit(left.visit_id)
        return left if visit is None else msgspec.structs.replace(left, to_name=visit.doctor_name)

    async def know_left(self, visit_id: str, doctor_id: str) -> None:
        """The doctor knows that this visit went on without her."""
        await self._write(lambda connection: gone.forget_left(connection, visit_id, doctor_id))
        await self._load_left()

    def is_open(self, district: str = "") -> bool:
        """Whether doctors sit now by the calendar, or one sits by her own will."""
        return self._is_open(self._desk.wall_ms(), district)

    def opens_ms(self, district: str = "") -> int:
        """When doctors sit next by the calendar; 0 when it has no such day."""
        return self._hours.opens_ms(self._desk.wall_ms(), district)

    def near(self, before: int) -> list[str]:
        """Visits whose turn is near: at most so many before them for the same doctors, of whom one sits."""
        return [
            one.visit_id
            for one, ahead in self._rota.with_ahead()
            if one.rank != EMERGENCY and ahead <= before and self._rota.sitting(one)[0]
        ]

    def place(self, visit_id: str) -> int:
        """Place of a visit among those whom the same doctors may see, 1 for the next; 0 for RED and for no place."""
        one = self._rota.wanting(visit_id)
        return 0 if one is None or one.rank == EMERGENCY else self._rota.ahead(one) + 1

    async def accept(self, visit_id: str, doctor: Doctor) -> Visit:
        """Take the visit that was offered. Raises NotFound, Refused(offer_over, visit_taken, visit_closed)."""
        if self._rota.asked(visit_id) != doctor.doctor_id:
            raise Refused("This patient has been offered to another doctor.", code="offer_over")
        visit = await self._desk.take(visit_id, doctor)
        async with self._one:
            await self._hold(visit_id, doctor.doctor_id, self._desk.wall_ms())
        await self.glance()
        return visit

    async def decline(self, visit_id: str, doctor: Doctor) -> None:
        """Leave the patient to the next doctor; she keeps the place. Raises Refused(offer_over)."""
        now_ms = self._desk.wall_ms()
        if not self._rota.decline(visit_id, doctor.doctor_id, now_ms):
            raise Refused("This patient has been offered to another doctor.", code="offer_over")
        await self._desk.store.write(
            lambda connection: audit.record(connection, now_ms, doctor.doctor_id, "offer_declined", visit_id)
        )
        await self.glance()

    def doctors_here(self) -> list[str]:
        """Ids of the doctors who sit: to whom a visit can be handed over."""
        return sorted(name for name in self._ready if self._rota.is_ready(name))

    async def hand_over(self, visit_id: str, by: Doctor, to: handing.To) -> Visit:
        """Give a visit to a doctor who sits, or to the queue for one of a speciality; a call of one's own ends.

        Raises NotFound, Refused(visit_taken, visit_closed, doctor_away, no_such_speciality).
        """

        def act(connection: Connection) -> tuple[Visit, handing.Handed]:
            now_ms, visit = self._desk.wall_ms(), need_open(connection, visit_id).visit
            left = visit_id in self._stuck and self._is_gone(handing.holder(visit), visit, now_ms)
            here, speaker = self.doctors_here(), self._desk.speaker
            done = handing.hand_over(connection, speaker, visit_id, by, to, ready=here, is_left=left, now_ms=now_ms)
            return need_visit(connection, visit_id).visit, done

        visit, done = await self._write(act)
        if done.left:
            await self._went_on(visit_id, done.left, done.blob)
        else:
            self._desk.tell(visit_id, done.blob)
            if done.own:
                await self._live.end_left(visit_id, by.doctor_id, "hangup")
        self._rota.pass_by(visit_id, by.doctor_id, self._desk.wall_ms())
        self._dirty = True
        await self.glance()
        return visit

    def unclaimed(self) -> list[Unclaimed]:
        """What nobody has taken, or a doctor who is not there any more, whoever waited longest first."""
        now_ms = self._desk.wall_ms()
        since = {one.visit_id: one.since_ms for one in self._rota.waiting()}
        why = {visit_id: why for visit_id, why in self._rota.unclaimed.items() if visit_id in since}
        for visit_id in self._stuck:
            if (held := self._opened.visit(visit_id)) is not None:
                since[visit_id], why[visit_id] = queue.since_ms(held), Why.DOCTOR_AWAY
        found = [
            unclaimed_of(line, now_ms - since[visit_id], why[visit_id], is_stuck=visit_id in self._stuck)
            for visit_id in why
            if (line := self._opened.get(visit_id)) is not None
        ]
        return sorted(found, key=lambda one: (one.colour != "red", -one.waited_s))
