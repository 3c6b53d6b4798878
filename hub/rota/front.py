"""The rota as any process of a hub sees it: the one that leads has it, the others ask that one.

An answer that does not come is an error that says to try again: nothing was lost by asking, since a visit is taken in
the database only. Knows no HTTP.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from edge.model.errors import Fault, NotFound, Refused, UpkendraError
from edge.model.fold import Visit

from ..desk import Desk, need_visit
from ..doctors import Doctor
from ..fanout import Answered, Asked, Fanout
from ..leader import LeadsNoMore
from .desk import RotaDesk
from .handing import To
from .seen import State, Unclaimed
from .store import end_ready

ANSWER_S = 5.0
HOURS_KEPT_S = 2.0
T = TypeVar("T")


class GetState(Struct, frozen=True, tag=1):
    doctor_id: str


class SetReady(Struct, frozen=True, tag=2):
    doctor_id: str
    ready: bool
    stays: bool = False


class Accept(Struct, frozen=True, tag=3):
    doctor_id: str
    visit_id: str


class Decline(Struct, frozen=True, tag=4):
    doctor_id: str
    visit_id: str


class HandOver(Struct, frozen=True, tag=5):
    doctor_id: str
    visit_id: str
    to_id: str
    speciality: str = ""


class GetCoordination(Struct, frozen=True, tag=6):
    pass


class GetAtHome(Struct, frozen=True, tag=7):
    """``visit_id``: whose place is asked for, or ""; ``fresh``: look at the rota first."""

    visit_id: str
    fresh: bool


class KnowLeft(Struct, frozen=True, tag=8):
    """She knows that this visit went on without her."""

    doctor_id: str
    visit_id: str


class Replan(Struct, frozen=True, tag=9):
    """The calendar, or for whom somebody may be asked, was changed."""


class AtHome(Struct, frozen=True):
    """What a patient at home sees of the rota."""

    place: int
    """1 for the next; 0 for RED, and for whoever does not wait or while nobody can say it."""
    open: bool
    opens_ms: int


class Coordination(Struct, frozen=True):
    """What nobody has taken, and who sits."""

    unclaimed: tuple[Unclaimed, ...]
    doctors: tuple[str, ...]


Question: TypeAlias = (
    GetState | SetReady | Accept | Decline | HandOver | GetCoordination | GetAtHome | KnowLeft | Replan
)
_question = msgspec.msgpack.Decoder(Question)
_encode = msgspec.msgpack.Encoder().encode


class RotaAway(UpkendraError):
    """The process that keeps the rota does not answer; another one takes over within seconds. Try again then."""

    code = "rota_away"
    fault = Fault.STATE


class RotaFront:
    """What the web side asks."""

    def __init__(self, rota: RotaDesk, desk: Desk, fanout: Fanout) -> None:
        self._rota, self._desk, self._fanout = rota, desk, fanout
        self._leads = True
        self.is_sure: Callable[[], bool] = lambda: True
        """Whether the database has said so lately: a process that was stopped leads no more when it goes on."""
        self._asked: dict[int, asyncio.Future[Answered]] = {}
        self._number = 0
        self._hours = float("-inf"), AtHome(0, False, 0)

    @property
    def leads(self) -> bool:
        """Whether this process keeps the rota."""
        return self._leads and self.is_sure()

    @leads.setter
    def leads(self, leads: bool) -> None:
        self._leads = leads

    async def state(self, doctor_id: str) -> State:
        """What a doctor's page shows. Raises RotaAway, as all that follow."""
        return await self._ask(GetState(doctor_id), State)

    async def set_ready(self, doctor: Doctor, *, ready: bool, stays: bool = False) -> None:
        """The doctor sits, past the end of the present hours if she ``stays``, or gets up."""
        await self._ask(SetReady(doctor.doctor_id, ready, stays), type(None))

    async def logged_out(self, doctor_id: str) -> None:
        """Nobody is logged in as this doctor any more: she is not ready. Whoever leads also looks by itself."""
        if not await self._desk.store.write(lambda connection: end_ready(connection, doctor_id)):
            return
        with contextlib.suppress(RotaAway, Refused, NotFound):
            await self._ask(SetReady(doctor_id, False), type(None))

    async def accept(self, visit_id: str, doctor: Doctor) -> Visit:
        """Take the visit that was offered. Raises NotFound, Refused(offer_over, visit_taken, visit_closed)."""
        await self._ask(Accept(doctor.doctor_id, visit_id), type(None))
        return await self._visit(visit_id)

    async def decline(self, visit_id: str, doctor: Doctor) -> None:
        """Leave the patient to the next doctor. Raises Refused(offer_over)."""
        await self._ask(Decline(doctor.doctor_id, visit_id), type(None))

    async def hand_over(self, visit_id: str, by: Doctor, to: To) -> Visit:
        """Give a visit on (:meth:`RotaDesk.hand_over`)."""
        await self._ask(HandOver(by.doctor_id, visit_id, to.doctor_id, to.speciality), type(None))
        return await self._visit(visit_id)

    async def know_left(self, visit_id: str, doctor_id: str) -> None:
        """She knows that this visit went on without her."""
        await self._ask(KnowLeft(doctor_id, visit_id), type(None))

    async def replanned(self) -> None:
        """What was planned is in the database: whoever keeps the rota goes by it now. One that takes over reads it."""
        self._hours = float("-inf"), AtHome(0, False, 0)
        with contextlib.suppress(RotaAway):
            await self._ask(Replan(), type(None))

    async def coordination(self) -> Coordination:
        """What nobody has taken, and who sits."""
        return await self._ask(GetCoordination(), Coordination)

    async def at_home(self, visit_id: str = "", *, fresh: bool = False) -> AtHome:
        """Place and hours for a patient at home. While the rota changes hands: the calendar's hours, and no place."""
        try:
            return await self._ask(GetAtHome(visit_id, fresh), AtHome)
        except (RotaAway, Refused):
            await self._rota.reload()
            return AtHome(0, self._rota.is_open(), self._rota.opens_ms())

    async def hours(self) -> AtHome:
        """The hours for anybody who asks, as they were within the last seconds."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._hours[0] >= HOURS_KEPT_S or self.leads:
            self._hours = now_s, await self.at_home()
        return self._hours[1]

    def near(self, before: int) -> list[str]:
        """Visits whose turn is near; the process that leads knows, and tells."""
        return self._rota.near(before) if self.leads else []

    async def _visit(self, visit_id: str) -> Visit:
        return (await self._desk.store.read(lambda connection: need_visit(connection, visit_id))).visit

    async def _ask(self, question: Question, kind: type[T]) -> T:
        if self.leads:
            return msgspec.msgpack.decode(await self._do(question), type=kind)
        if self._fanout.alone:
            raise RotaAway("The rota is changing hands. Try again in some seconds.")
        self._number += 1
        number = self._number
        answered = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._fanout.say(Asked(number, _encode(question)))
            answer = await asyncio.wait_for(answered, ANSWER_S)
        except TimeoutError:
            raise RotaAway("The rota is changing hands. Try again in some seconds.") from None
        finally:
            del self._asked[number]
        if answer.refused is not None:
            code, message = answer.refused
            raise NotFound(message) if code == NotFound.code else Refused(message, code=code)
        return msgspec.msgpack.decode(answer.body, type=kind)

    async def asked(self, sender: bytes, asked: Asked) -> None:
        """Another process asks: answer, if this one keeps the rota."""
        if not self.leads:
            return
        refused, body = None, b""
        try:
            body = await self._do(_question.decode(asked.body))
        except UpkendraError as error:
            refused = error.refusal.code, error.refusal.message
        self._fanout.say(Answered(sender, asked.number, body, refused))

    def answered(self, answer: Answered) -> None:
        """The process that leads has answered somebody."""
        waiting = self._asked.get(answer.number) if answer.to == self._fanout.own else None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _do(self, question: Question) -> bytes:
        try:
            return await self._done(question)
        except LeadsNoMore:
            raise RotaAway("The rota is changing hands. Try again in some seconds.") from None

    async def _done(self, question: Question) -> bytes:
        match question:
            case GetState():
                return _encode(self._rota.state(question.doctor_id))
            case GetAtHome():
                if question.fresh:
                    await self._rota.glance()
                place = self._rota.place(question.visit_id) if question.visit_id else 0
                return _encode(AtHome(place, self._rota.is_open(), self._rota.opens_ms()))
            case Replan():
                await self._rota.reload()
                await self._rota.glance()
                return _encode(None)
            case GetCoordination():
                return _encode(Coordination(tuple(self._rota.unclaimed()), tuple(self._rota.doctors_here())))
            case KnowLeft():
                await self._rota.know_left(question.visit_id, question.doctor_id)
                return _encode(None)
        doctor = await self._desk.doctor(question.doctor_id)
        match question:
            case SetReady():
                await self._rota.set_ready(doctor, ready=question.ready, stays=question.stays)
            case Accept():
                await self._rota.accept(question.visit_id, doctor)
            case Decline():
                await self._rota.decline(question.visit_id, doctor)
            case HandOver():
                await self._rota.hand_over(question.visit_id, doctor, To(question.to_id, question.speciality))
        return _encode(None)
