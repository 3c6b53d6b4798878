"""HTTP around the rota: ready and away, the offer, handing over, and what nobody has taken."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.errors import BadInput
from edge.model.ids import Id
from edge.web.routes import AnyRoute, Call, Route

from .. import accounts, audit, report
from ..hub import Hub
from ..permits import Role
from ..rota import handing
from ..rota.core import Why
from ..rota.seen import State
from ..rota.store import WaitFigures, figures
from .bodies import VisitReply

DAY_MS = 86_400_000
_EXACT = frozenset({Role.DOCTOR, Role.SPECIALIST, Role.COORDINATOR, Role.ADMINISTRATOR})
"""Who sees figures as they are; the others in fives (docs/decisions/0054)."""


class Ready(Struct, frozen=True, forbid_unknown_fields=True):
    ready: bool
    stays: bool = False
    """Past the end of the present hours, too."""


class Offered(Struct, frozen=True, forbid_unknown_fields=True):
    visit_id: Id


class HandOver(Struct, frozen=True, forbid_unknown_fields=True):
    """To a doctor, or to the next one of a speciality: exactly one of the two."""

    doctor_id: Annotated[str, Meta(max_length=60, pattern=r"^[^\x00]*$(?!\n)")] = ""
    speciality: Annotated[str, Meta(pattern="^[a-z_]{0,30}$(?!\\n)")] = ""


class Colleagues(Struct, frozen=True):
    """Everybody who treats patients here, oneself too; who is ready first."""

    items: tuple[handing.Colleague, ...]


class Colleague(Struct, frozen=True):
    doctor_id: str
    name: str


class UnclaimedLine(Struct, frozen=True):
    """No clinical content: a coordinator reads this."""

    visit_id: str
    token: str
    colour: str
    site_name: str
    district: str
    node_online: bool
    waited_s: int
    why: Why
    doctor_name: str
    """Who took it and is away; "" while nobody has it."""


class Coordination(Struct, frozen=True):
    items: tuple[UnclaimedLine, ...]
    doctors: tuple[Colleague, ...]
    """Who is ready: to whom a visit can be handed over."""
    day: WaitFigures
    """Patients who began to wait in the last 24 hours."""


class DistrictDay(Struct, frozen=True):
    district: str
    waits: WaitFigures


class Day(Struct, frozen=True):
    waits: WaitFigures
    districts: tuple[DistrictDay, ...]


class RotaApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        return [
            Route("GET", "/api/rota", self.get_rota, None, State),
            Route("PUT", "/api/rota/ready", self.put_ready, Ready, State),
            Route("POST", "/api/rota/accept", self.accept, Offered, VisitReply, errors=(404, 409)),
            Route("POST", "/api/rota/decline", self.decline, Offered, State, errors=(409,)),
            Route("POST", "/api/rota/left", self.know_left, Offered, State),
            Route("GET", "/api/coordination", self.get_coordination, None, Coordination),
            Route("POST", "/api/visits/{visit_id}/hand-over", self.hand_over, HandOver, errors=(409,)),
            Route("GET", "/api/colleagues", self.get_colleagues, None, Colleagues),
            Route("GET", "/api/day", self.get_day, None, Day),
        ]

    async def get_rota(self, call: Call[None, None]) -> State:
        """Whether the doctor is ready, whom she is asked for, and when doctors sit."""
        return await self._hub.front.state(call.subject)

    async def put_ready(self, call: Call[Ready, None]) -> State:
        """Say that one is ready for the next patient, or away. Open visits stay with their doctor."""
        doctor = await self._hub.desk.doctor(call.subject)
        await self._hub.front.set_ready(doctor, ready=call.body.ready, stays=call.body.stays)
        return await self._hub.front.state(call.subject)

    async def accept(self, call: Call[Offered, None]) -> VisitReply:
        """Take the patient one was asked for."""
        doctor = await self._hub.desk.doctor(call.subject)
        return VisitReply(await self._hub.front.accept(call.body.visit_id, doctor))

    async def decline(self, call: Call[Offered, None]) -> State:
        """Leave the patient to the next doctor; she keeps her place."""
        await self._hub.front.decline(call.body.visit_id, await self._hub.desk.doctor(call.subject))
        return await self._hub.front.state(call.subject)

    async def know_left(self, call: Call[Offered, None]) -> State:
        """Say that one knows that a visit went on without one; it is shown no more."""
        await self._hub.front.know_left(call.body.visit_id, call.subject)
        return await self._hub.front.state(call.subject)

    async def get_coordination(self, call: Call[None, None]) -> Coordination:
        """What nobody has taken and why, who is ready, and how long people waited."""
        directory = self._hub.directory
        lines = []
        now = await self._hub.front.coordination()
        for one in now.unclaimed:
            site = directory.site(one.node_id)
            online = self._hub.reaches(one.node_id, one.visit_id)
            place = (site.site_name, site.district, online)
            lines.append(
                UnclaimedLine(one.visit_id, one.token, one.colour, *place, one.waited_s, one.why, one.doctor_name)
            )
        here = [Colleague(name, (await self._hub.desk.doctor(name)).name) for name in now.doctors]
        now_ms = self._hub.wall_ms()
        day = await self._hub.store.read(lambda connection: figures(connection, now_ms - DAY_MS, now_ms + 1))
        return Coordination(tuple(lines), tuple(here), day)

    async def get_day(self, call: Call[None, None]) -> Day:
        """Waits of the last 24 hours, in all and by district: figures only. A viewer sees hers, in fives."""
        now_ms, who = self._hub.wall_ms(), call.subject
        directory = self._hub.directory
        every = {directory.site(node_id.hex()).district for node_id in directory.node_ids()} - {""}
        only_views = not self._hub.desk.roles(who) & _EXACT

        def load(connection: Connection) -> Day:
            mine = accounts.districts_of(connection, who)
            names = sorted(every & mine if mine else every)

            def waits(*districts: str) -> WaitFigures:
                exact = figures(connection, now_ms - DAY_MS, now_ms + 1, districts)
                return report.coarse_waits(exact) if only_views else exact

            lines = [DistrictDay(name, waits(name)) for name in names]
            shown = tuple(one for one in lines if not only_views or one.waits.taken + one.waits.waiting)
            return Day(waits(*mine), shown)

        day = await self._hub.store.read(load)
        if only_views:
            await self._hub.store.write(lambda c: audit.record(c, now_ms, who, "report_read", "", "day"))
        return day

    async def hand_over(self, call: Call[HandOver, None]) -> None:
        """Give a visit to a doctor who is ready, or back to the queue for a doctor of a speciality.

        One's own, one that nobody has, or one whose doctor is not there. A call of one's own ends.
        """
        to = handing.To(call.body.doctor_id, call.body.speciality)
        if bool(to.doctor_id) == bool(to.speciality):
            raise BadInput("Name a doctor, or a speciality.", field="doctor_id")
        await self._hub.front.hand_over(call.path["visit_id"], await self._hub.desk.doctor(call.subject), to)

    async def get_colleagues(self, call: Call[None, None]) -> Colleagues:
        """To whom a patient can be handed, and which specialities there are."""
        ready = (await self._hub.front.coordination()).doctors
        return Colleagues(tuple(await self._hub.store.read(lambda one: handing.colleagues(one, ready))))
