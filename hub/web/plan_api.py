"""HTTP around the plan of the rota: hours, holidays, for whom each doctor is asked, and taking a change back."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from edge.web.routes import AnyRoute, Call, Route

from .. import accounts, audit
from ..directory import who_treats_nobody
from ..hub import Hub
from ..rota import changes, plan
from ..rota.store import Profile, doctor_of, load_hours, load_profile, load_ready
from ..store.schema import doctors
from .bodies import Password
from .people_api import PERSON

SHOWN = 20
Number = Annotated[int, Meta(ge=0)]


class Sitter(Struct, frozen=True):
    """A doctor with what is planned for her."""

    person_id: str
    name: str
    profile: Profile
    planned: bool
    """By the plan she sits at this moment."""
    ready: bool


class Changed(Struct, frozen=True):
    """A change that was made: who, when, and what it changed then."""

    number: int
    at_ms: int
    by: str
    """"" for the command line."""
    persons: tuple[str, ...]
    """Whose profile it was about."""
    calendar: bool


class PlanReply(Struct, frozen=True):
    hours: tuple[plan.Times, ...]
    """Without a plan: the default, Monday to Saturday, 9:00 to 16:00."""
    holidays: tuple[plan.Closed, ...]
    doctors: tuple[Sitter, ...]
    districts: tuple[str, ...]
    number: int
    """Of the latest change: whoever saves says which one she has seen."""
    history: tuple[Changed, ...]
    undo: tuple[changes.Line, ...]
    """What taking the latest change back would change."""
    now_ms: int


class Calendar(Struct, frozen=True, forbid_unknown_fields=True):
    """Hours and holidays that somebody thinks of."""

    hours: Annotated[tuple[plan.Times, ...], Meta(max_length=2000)]
    holidays: Annotated[tuple[plan.Closed, ...], Meta(max_length=2000)] = ()


class Meaning(Struct, frozen=True):
    """What saving would change."""

    lines: tuple[changes.Line, ...]
    opens: tuple[changes.Opens, ...]


class PutCalendar(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    number: Number
    calendar: Calendar


class PutProfile(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    number: Number
    profile: Profile


class Undo(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    number: Number


class PlanApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        root, late = "/api/rota/plan", (409, 429)
        return [
            Route("GET", root, self.get_plan, None, PlanReply),
            Route("POST", f"{root}/meaning", self.get_meaning, Calendar, Meaning),
            Route("PUT", root, self.put_plan, PutCalendar, PlanReply, errors=late),
            Route("POST", f"{root}/undo", self.undo, Undo, PlanReply, errors=(404, *late)),
            Route(
                "PUT",
                "/api/rota/people/{person_id}",
                self.put_profile,
                PutProfile,
                PlanReply,
                params=PERSON,
                errors=(404, *late),
            ),
        ]

    async def get_plan(self, call: Call[None, None]) -> PlanReply:
        """When doctors sit, for whom each may be asked, and who changed it last."""

        def load(connection: Connection) -> PlanReply:
            audit.record(connection, self._hub.wall_ms(), call.subject, "rota_plan_read")
            return self._plan(connection)

        return await self._hub.store.write(load)

    def _plan(self, connection: Connection) -> PlanReply:
        standing, now_ms = plan.show(connection), self._hub.wall_ms()
        done = plan.history(connection, SHOWN)
        names = {row.doctor_id: row.name for row in connection.execute(select(doctors.c.doctor_id, doctors.c.name))}
        nobody, hours = who_treats_nobody(connection), load_hours(connection)
        ready = {doctor.doctor_id for doctor, _ in load_ready(connection)}
        sitters = []
        for person_id in sorted(names.keys() - nobody, key=lambda one: (names[one], one)):
            profile = load_profile(connection, person_id)
            who = doctor_of(person_id, names[person_id], profile)
            planned = hours.of(who.hours).sits(now_ms, who.districts)
            sitters.append(Sitter(person_id, names[person_id], profile, planned, person_id in ready))
        undo: tuple[changes.Line, ...] = ()
        if done:
            before = done[0].before
            if before.calendar is not None:
                undo += changes.of_calendar(standing, before.calendar)
            for name, profile in before.doctors.items():
                undo += changes.of_person(names.get(name, name), load_profile(connection, name), profile)
        return PlanReply(
            standing.hours,
            standing.holidays,
            tuple(sitters),
            tuple(sorted(accounts.districts(connection))),
            plan.latest(connection),
            tuple(
                Changed(
                    one.number,
                    one.at_ms,
                    names.get(one.person_id, one.person_id),
                    tuple(names.get(name, name) for name in one.before.doctors),
                    one.before.calendar is not None,
                )
                for one in done
            ),
            undo,
            now_ms,
        )

    async def get_meaning(self, call: Call[Calendar, None]) -> Meaning:
        """What saving these hours and holidays would change; nothing is changed by asking."""
        wanted, now_ms = plan.Plan(call.body.hours, call.body.holidays), self._hub.wall_ms()
        plan.check(wanted)

        def load(connection: Connection) -> Meaning:
            standing = plan.show(connection)
            districts = accounts.districts(connection)
            return Meaning(changes.of_calendar(standing, wanted), changes.opens(standing, wanted, districts, now_ms))

        return await self._hub.store.read(load)

    async def put_plan(self, call: Call[PutCalendar, None]) -> PlanReply:
        """Set hours and holidays. Every process goes by them at once."""
        body, now_ms = call.body, self._hub.wall_ms()
        await self._hub.desk.need_password(call.subject, body.password)
        wanted = plan.Plan(body.calendar.hours, body.calendar.holidays)
        return await self._act(lambda c: plan.put(c, wanted, now_ms, call.subject, body.number))

    async def put_profile(self, call: Call[PutProfile, None]) -> PlanReply:
        """Say for whom a doctor may be asked, and when she sits."""
        body, now_ms, person_id = call.body, self._hub.wall_ms(), call.path["person_id"]
        await self._hub.desk.need_password(call.subject, body.password)
        return await self._act(lambda c: plan.put_person(c, person_id, body.profile, now_ms, call.subject, body.number))

    async def undo(self, call: Call[Undo, None]) -> PlanReply:
        """Take the latest change back."""
        body, now_ms = call.body, self._hub.wall_ms()
        await self._hub.desk.need_password(call.subject, body.password)
        return await self._act(lambda c: plan.undo(c, body.number, now_ms, call.subject))

    async def _act(self, work: Callable[[Connection], None]) -> PlanReply:
        def act(connection: Connection) -> PlanReply:
            work(connection)
            return self._plan(connection)

        reply = await self._hub.store.write(act)
        await self._hub.front.replanned()
        self._hub.live.tell_rota()
        return reply
