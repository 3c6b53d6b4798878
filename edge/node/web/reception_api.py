"""Handlers of the reception: finding patients while the nurse types, and who may be registered already."""

from collections.abc import Iterable, Sequence

import msgspec

from edge.model.clock import day_of
from edge.model.errors import NotFound
from edge.model.records import Person
from edge.node.clinic import Clinic
from edge.node.search import Found
from edge.web.routes import AnyRoute, Call, Route

from . import schema as s


class ReceptionApi:
    """What the reception's screens ask for, over one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    async def get_patients(self, call: Call[None, s.PatientQuery]) -> s.PatientList:
        """Find patients by the beginnings of names as they sound, village, number, last digits or today's token."""
        query, today = call.query, day_of(self._clinic.clock.now().wall_ms)
        found = await self._clinic.store.read(lambda views: views.finder.find(query.q, query.limit, today))
        return _list_of(found)

    async def post_alike(self, call: Call[Person, None]) -> s.PatientList:
        """Who may be this person already: ask before somebody is registered."""
        now_ms = self._clinic.clock.now().wall_ms
        found = await self._clinic.store.read(lambda views: views.finder.alike(call.body, now_ms))
        return _list_of(Found(patient, patient.registered_ms) for patient in found)

    async def get_patient(self, call: Call[None, None]) -> s.PatientPage:
        """A patient with all visits, latest first."""
        patient_id = call.path["patient_id"]
        patient, visits = await self._clinic.store.read(
            lambda views: (views.patient(patient_id), views.visits_of(patient_id))
        )
        if patient is None:
            raise NotFound("No such patient is known here.")
        await self._clinic.accessed(call.subject, "read_patient", patient_id)
        return s.PatientPage(patient, visits)

    async def get_villages(self, call: Call[None, None]) -> s.VillageList:
        """Villages of the patients here, the most named first."""
        found = await self._clinic.store.read(lambda views: views.finder.villages())
        return s.VillageList([s.Village(name, patients) for name, patients in found])

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        return (
            Route("GET", "/api/patients", self.get_patients, reply=s.PatientList, query=s.PatientQuery, errors=(423,)),
            Route("POST", "/api/patients/alike", self.post_alike, body=Person, reply=s.PatientList, errors=(423,)),
            Route("GET", "/api/patients/{patient_id}", self.get_patient, reply=s.PatientPage, errors=(423,)),
            Route("GET", "/api/villages", self.get_villages, reply=s.VillageList, errors=(423,)),
        )


def _list_of(found: Iterable[Found]) -> s.PatientList:
    return s.PatientList(
        [
            s.PatientRow(
                **msgspec.structs.asdict(one.patient),
                last_visit_ms=one.seen_ms,
                open_visit_id=one.open_visit_id,
                open_token=one.open_token,
            )
            for one in found
        ]
    )
