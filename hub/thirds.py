"""Three-way calls: a specialist is asked into a call that runs, comes, and leaves.

The doctor's browser is the bridge: the centre sends once and receives one stream, as before. What passes here is who is
asked, the signals of the second leg between the two browsers, and what is written into the visit: who came, with name
and registration, whether the patient agreed, and what her browser received. Knows no HTTP.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection

from edge.media.signals import Accept, Answer, Bye, Candidate, Offer, Report, Signal
from edge.model import events as ev
from edge.model.errors import NotFound, Refused
from edge.web.often import Often

from . import audit, down
from . import third_rows as rows
from .desk import Desk
from .doctors import Doctor
from .heard import Heard, heard
from .live import Live
from .live_sides import CallUnknown, ThirdChanged
from .store.dialect import lock
from .third_rows import Phase, Specialist, Third

logger = logging.getLogger("hub.thirds")
LOOK_S: Final = 1.0
ASK_S: Final = 30.0
"""Who has not answered for so long is passed over: one ring of a doctor (forms.md section 7)."""
LOST_S: Final = 30.0
"""Whoever has had no page for so long is in the call no more."""
ASKED_MAX: Final = 20
"""So often one call may ask, and so many people one asking: nobody is to be rung without end."""
NOBODY: Final = "No specialist who fits is at a page and free."


class Thirds:
    """The specialists in this hub's calls."""

    def __init__(self, desk: Desk, live: Live, monotonic_s: Callable[[], float]) -> None:
        self._desk, self._live = desk, live
        self._monotonic_s = monotonic_s
        self._since: dict[tuple[str, str], float] = {}
        """Since when somebody is being asked, or has had no page while in the call."""
        self._heard: dict[str, Heard] = {}
        self._often = Often(self.look, LOOK_S, logger, "specialists in calls could not be looked after")
        live.thirds = self

    # A running hub: the process that leads looks

    async def start(self) -> None:
        """Begin to look; what an earlier process asked is asked for a whole span again."""
        self._since.clear()
        self._often.start()

    async def stop(self) -> None:
        """Stop looking."""
        await self._often.stop()

    async def look(self) -> None:
        """One look: whose call is over, who does not answer, whose page is gone."""

        def load(connection: Connection) -> list[tuple[Third, bool]]:
            return [(one, rows.runs(connection, one.call_id) is not None) for one in rows.running(connection)]

        seen: dict[tuple[str, str], float] = {}
        for one, runs in await self._desk.store.read(load):
            key, now_s = (one.third_id, f"{one.phase} {one.asked_id}"), self._monotonic_s()
            since_s = seen[key] = self._since.get(key, now_s)
            if not runs:
                await self._over(one.third_id, "call_over")
            elif one.phase is Phase.ASKING:
                if now_s - since_s >= ASK_S:
                    await self._pass(one.third_id, one.asked_id, "no_answer")
            elif self._live.has_page(one.asked_id):
                seen[key] = now_s
            elif now_s - since_s >= LOST_S:
                await self._over(one.third_id, "lost")
        self._since = seen

    # The doctor who holds the call

    async def specialists(self) -> list[Specialist]:
        """Whom one can ask; who can come at once first."""
        return await self._desk.store.read(lambda connection: rows.specialists(connection, self._live.has_page))

    async def of(self, person_id: str) -> list[Third]:
        """What a person asks, is asked, or is in."""
        found = await self._desk.store.read(rows.running)
        return [one for one in found if person_id in (one.doctor_id, one.asked_id)]

    async def ask(self, third: Third) -> Third:
        """Ask the first who fits; the same again changes nothing.

        Raises Refused(third_no_call, third_already, third_too_many, third_nobody).
        """

        def act(connection: Connection) -> Third:
            lock(connection, third.call_id)
            known = rows.load(connection, third.third_id)
            if known is not None and (known.doctor_id, known.call_id) == (third.doctor_id, third.call_id):
                return known
            call = rows.runs(connection, third.call_id)
            if (
                known is not None
                or call is None
                or (call.doctor_id, call.visit_id) != (third.doctor_id, third.visit_id)
            ):
                raise Refused("There is no running call of yours for this visit.", code="third_no_call")
            if any(one.call_id == third.call_id for one in rows.running(connection)):
                raise Refused("Somebody is in this call, or is being asked.", code="third_already")
            if rows.count(connection, third.call_id) >= ASKED_MAX:
                raise Refused("This call has asked often enough.", code="third_too_many")
            asked_id = self._next(connection, third)
            if not asked_id:
                raise Refused(NOBODY, code="third_nobody")
            now_ms = self._desk.wall_ms()
            rows.add(connection, _with(third, asked_id, call.node_id, now_ms))
            audit.record(connection, now_ms, third.doctor_id, "third_asked", third.visit_id)
            return _with(third, asked_id, call.node_id, now_ms)

        return self._told(await self._desk.store.write(act))

    def _next(self, connection: Connection, third: Third) -> str:
        """Who is asked now; "" when nobody is left. Until this transaction ends nobody else chooses, at any process."""
        lock(connection, "specialists")
        passed = {third.doctor_id, *third.tried.split()}
        for one in rows.specialists(connection, self._live.has_page):
            fits = third.wanted_id in ("", one.doctor_id) and third.speciality in ("", *one.specialities)
            if fits and one.here and not one.busy and one.doctor_id not in passed:
                return one.doctor_id
        return ""

    # The specialist

    async def accept(self, third_id: str, doctor: Doctor) -> Third:
        """Come into the call. Written into the visit and the audit log.

        Raises NotFound, Refused(third_over, third_own_call): two patients never hear each other's consultation.
        """

        def act(connection: Connection) -> tuple[Third, down.DownBlob | None]:
            third = self._mine(connection, third_id, doctor.doctor_id)
            if third.phase is Phase.JOINED and third.asked_id == doctor.doctor_id:
                return third, None
            if third.phase is not Phase.ASKING or third.asked_id != doctor.doctor_id:
                raise Refused("You are asked no more.", code="third_over")
            if rows.runs(connection, third.call_id) is None:
                raise Refused("This call is over.", code="third_over")
            if rows.calls_of_her_own(connection, doctor.doctor_id):
                raise Refused("You are in a call of your own.", code="third_own_call")
            now_ms = self._desk.wall_ms()
            joined = ev.ThirdJoined(
                *(third.visit_id, third_id, third.call_id, third.doctor_id, doctor.doctor_id, doctor.name),
                doctor.registration,
                doctor.qualification,
                third.agreed,
            )
            blob = down.speak(connection, self._desk.speaker, third.node_id, (joined,), doctor.doctor_id, now_ms)
            audit.record(connection, now_ms, doctor.doctor_id, "third_joined", third.visit_id)
            return rows.change(connection, third_id, phase=Phase.JOINED.value, joined_ms=now_ms), blob

        third, blob = await self._desk.store.write(act)
        self._desk.tell(third.visit_id, blob)
        return self._told(third)

    async def decline(self, third_id: str, doctor_id: str) -> None:
        """Do not come: the next one who fits is asked. Raises NotFound, Refused(third_over)."""
        if not await self._pass(third_id, doctor_id, "declined"):
            raise Refused("You are asked no more.", code="third_over")

    async def end(self, third_id: str, person_id: str) -> None:
        """Either side ends it: no longer asked, sent away, or gone. What is over stays as it is. Raises NotFound."""
        third = await self._desk.store.read(lambda connection: self._mine(connection, third_id, person_id))
        if person_id == third.doctor_id:
            await self._over(third_id, "sent_away" if third.phase is Phase.JOINED else "withdrawn")
        elif third.asked_id != person_id:
            return  # she was passed over, and it is another's by now
        elif third.phase is Phase.ASKING:
            await self.decline(third_id, person_id)
        else:
            await self._over(third_id, "left")

    def _mine(self, connection: Connection, third_id: str, person_id: str) -> Third:
        lock(connection, third_id)
        third = rows.load(connection, third_id)
        if third is None or person_id not in (third.doctor_id, third.asked_id, *third.tried.split()):
            raise NotFound("There is no such asking of yours.")
        return third

    async def _pass(self, third_id: str, asked_id: str, why: str) -> bool:
        """Leave it to the next who fits; False when this one is not being asked."""

        def act(connection: Connection) -> tuple[Third, Third] | None:
            third = self._mine(connection, third_id, asked_id)
            if third.phase is not Phase.ASKING or third.asked_id != asked_id:
                return None
            tried = f"{third.tried} {asked_id}".strip()
            passed = rows.change(connection, third_id, tried=tried, asked_id="")
            next_id = self._next(connection, passed) if len(tried.split()) < ASKED_MAX else ""
            now_ms = self._desk.wall_ms()
            audit.record(connection, now_ms, asked_id, "third_passed", third.visit_id, why)
            if next_id:
                return third, rows.change(connection, third_id, asked_id=next_id)
            return third, rows.change(
                connection, third_id, asked_id=asked_id, phase=Phase.OVER.value, ended_ms=now_ms, because=why
            )

        changed = await self._desk.store.write(act)
        for one in changed or ():
            self._told(one)
        return changed is not None

    # Both

    async def _over(self, third_id: str, because: str) -> None:
        def act(connection: Connection) -> tuple[Third, down.DownBlob | None] | None:
            lock(connection, third_id)
            third = rows.load(connection, third_id)
            if third is None or third.phase is Phase.OVER:
                return None
            now_ms, blob = self._desk.wall_ms(), None
            if third.phase is Phase.JOINED:
                most_s = max(now_ms - third.joined_ms, 0) / 1000
                figures = (min(one, most_s) for one in (third.video_s, third.audio_s, third.concealed_s))
                left = ev.ThirdLeft(third.visit_id, third_id, because, *figures)
                blob = down.speak(connection, self._desk.speaker, third.node_id, (left,), third.asked_id, now_ms)
                audit.record(connection, now_ms, third.asked_id, "third_left", third.visit_id, because)
            change = {"phase": Phase.OVER.value, "ended_ms": now_ms, "because": because}
            return rows.change(connection, third_id, **change), blob

        ended = await self._desk.store.write(act)
        self._heard.pop(third_id, None)
        if ended is not None:
            third, blob = ended
            self._desk.tell(third.visit_id, blob)
            self._told(third)

    def _told(self, third: Third) -> Third:
        for person_id in {third.doctor_id, third.asked_id}:
            self._live.tell_person(person_id, ThirdChanged())
        return third

    # The second leg (:class:`hub.live_sides.Thirds`)

    async def passed_on(self, person_id: str, signal: Signal) -> bool:
        """The bridge offers, the specialist answers, both trickle; whoever comes, or comes back, says Accept."""
        third = await self._desk.store.read(lambda connection: rows.load(connection, signal.call_id))
        if third is None or person_id not in (third.doctor_id, third.asked_id):
            return False
        if third.phase is not Phase.JOINED:
            return True  # of a leg that is over, or has not begun
        bridge = person_id == third.doctor_id
        match signal:
            case Bye():
                await self.end(third.third_id, person_id)
            case Report():
                if not bridge:
                    await self._report(third, signal)
            case Offer() if bridge:
                self._live.tell_person(third.asked_id, signal)
            case Answer() | Accept() if not bridge:
                self._live.tell_person(third.doctor_id, signal)
            case Candidate():
                self._live.tell_person(third.asked_id if bridge else third.doctor_id, signal)
            case _:
                raise CallUnknown("Only the other side of this leg says this.")
        return True

    async def _report(self, third: Third, report: Report) -> None:
        """What the specialist's browser received; a page that was loaded anew begins at zero and is added."""
        before = Report(third.third_id, third.video_s, third.audio_s, third.concealed_s, third.frames)
        figures = self._heard[third.third_id] = self._heard.get(third.third_id, heard(before)).after(report)
        total = figures.total
        change = {"video_s": total.video_s, "audio_s": total.audio_s, "concealed_s": total.concealed_s}

        def act(connection: Connection) -> None:
            rows.change(connection, third.third_id, frames=min(total.frames, 1 << 40), **change)

        await self._desk.store.write(act)


def _with(third: Third, asked_id: str, node_id: str, now_ms: int) -> Third:
    return msgspec.structs.replace(third, asked_id=asked_id, node_id=node_id, began_ms=now_ms)
