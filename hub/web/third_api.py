"""HTTP around three-way calls: whom one can ask, asking, coming, and leaving."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.model.ids import Id
from edge.web.routes import AnyRoute, Call, Route

from ..desk import need_visit
from ..hub import Hub
from ..third_rows import Phase, Specialist, Third


class AskThird(Struct, frozen=True, forbid_unknown_fields=True):
    third_id: Id
    call_id: Id
    agreed: Literal["spoken", "emergency"]
    """``spoken``: the patient was asked in the call and agreed; ``emergency``: there is no time to ask."""
    specialist_id: Annotated[str, Meta(max_length=60, pattern=r"^[^\x00]*$(?!\n)")] = ""
    """Only this one; "" for the first who is free."""
    speciality: Annotated[str, Meta(pattern="^([a-z_]{1,30})?$(?!\\n)")] = ""


class Person(Struct, frozen=True):
    doctor_id: str
    name: str
    registration: str
    qualification: str


class ThirdView(Struct, frozen=True):
    """No clinical content: whoever comes opens the record, and that stands in the audit log."""

    third_id: str
    call_id: str
    visit_id: str
    phase: Phase
    because: str
    began_ms: int
    joined_ms: int
    token: str
    colour: str
    site_name: str
    doctor: Person
    """Who holds the call."""
    specialist: Person
    """Who is being asked, or is in the call."""


class ThirdList(Struct, frozen=True):
    items: tuple[ThirdView, ...]
    """What one asks, is asked, or is in."""


class SpecialistList(Struct, frozen=True):
    items: tuple[Specialist, ...]


class ThirdApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        one = "/api/thirds/{third_id}"
        return [
            Route("GET", "/api/specialists", self.get_specialists, None, SpecialistList),
            Route("GET", "/api/thirds", self.get_thirds, None, ThirdList),
            Route("POST", "/api/visits/{visit_id}/thirds", self.ask, AskThird, ThirdView, errors=(409,)),
            Route("POST", one + "/accept", self.accept, None, ThirdView, errors=(409,)),
            Route("POST", one + "/decline", self.decline, errors=(409,)),
            Route("POST", one + "/end", self.end, errors=(409,)),
        ]

    async def get_specialists(self, call: Call[None, None]) -> SpecialistList:
        """Who can be asked into a call; who can come at once first."""
        found = await self._hub.thirds.specialists()
        return SpecialistList(tuple(one for one in found if one.doctor_id != call.subject))

    async def get_thirds(self, call: Call[None, None]) -> ThirdList:
        """Whom one has asked into a call, and into whose call one is asked."""
        found = await self._hub.thirds.of(call.subject)
        return ThirdList(tuple([await self._view(one) for one in found]))

    async def ask(self, call: Call[AskThird, None]) -> ThirdView:
        """Ask a specialist into one's own running call; who does not answer in time is passed over."""
        body, visit_id = call.body, call.path["visit_id"]
        await self._hub.store.read(lambda connection: need_visit(connection, visit_id))
        asked = Third(
            *(body.third_id, body.call_id, visit_id, "", call.subject, body.specialist_id, body.speciality, "", ""),
            body.agreed,
            Phase.ASKING,
            0,
        )
        return await self._view(await self._hub.thirds.ask(asked))

    async def accept(self, call: Call[None, None]) -> ThirdView:
        """Come into the call one was asked into."""
        doctor = await self._hub.desk.doctor(call.subject)
        return await self._view(await self._hub.thirds.accept(call.path["third_id"], doctor))

    async def decline(self, call: Call[None, None]) -> None:
        """Do not come; the next one who fits is asked."""
        await self._hub.thirds.decline(call.path["third_id"], call.subject)

    async def end(self, call: Call[None, None]) -> None:
        """Leave; or ask no longer, and send away who came. One that is over stays as it is."""
        await self._hub.thirds.end(call.path["third_id"], call.subject)

    async def _view(self, third: Third) -> ThirdView:
        owned = await self._hub.store.read(lambda connection: need_visit(connection, third.visit_id))
        return ThirdView(
            *(third.third_id, third.call_id, third.visit_id, third.phase, third.because),
            third.began_ms,
            third.joined_ms,
            owned.visit.token,
            owned.visit.colour.value,
            self._hub.directory.site(third.node_id).site_name,
            await self._person(third.doctor_id),
            await self._person(third.asked_id),
        )

    async def _person(self, person_id: str) -> Person:
        doctor = await self._hub.desk.doctor(person_id)
        return Person(doctor.doctor_id, doctor.name, doctor.registration, doctor.qualification)
