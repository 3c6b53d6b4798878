"""A visit as FHIR R4 documents at the node: by the hub's very code and with no network, for whoever reads records."""

import asyncio

from msgspec import Struct

from edge.model.errors import NotFound
from edge.model.fhir import Document, Origin, documents
from edge.model.prescription import Site
from edge.node.clinic import Clinic
from edge.web.routes import JSON, AnyRoute, Call, Raw, Route


class Collection(Struct, frozen=True, rename="camel"):
    """A FHIR Bundle; its ``entry`` holds the documents, byte for byte as they were made, when there are any."""

    resource_type: str
    type: str


class FhirApi:
    """Documents of one node's visits."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [
            Route(
                "GET",
                "/api/visits/{visit_id}/fhir",
                self.get_fhir,
                reply=Collection,
                errors=(423,),
            )
        ]

    async def get_fhir(self, call: Call[None, None]) -> Raw:
        """A collection of the visit's documents as they stand: none before a prescription or the visit's end."""
        visit_id = call.path["visit_id"]
        made = await self._documents(visit_id)
        await self._clinic.accessed(call.subject, "fhir_documents", visit_id)
        entries = b",".join(
            b'{"fullUrl":"urn:uuid:%s","resource":%s}' % (one.document_id.encode(), one.content) for one in made
        )
        body = b'{"resourceType":"Bundle","type":"collection"%s}' % (b',"entry":[%s]' % entries if made else b"")
        name = f'attachment; filename="visit-{visit_id}.fhir.json"'
        return Raw(body, JSON, (("Content-Disposition", name),))

    async def _documents(self, visit_id: str) -> tuple[Document, ...]:
        clinic = self._clinic
        visit = await clinic.visit(visit_id)
        patient = await clinic.store.read(lambda views: views.patient(visit.patient_id))
        if patient is None:
            raise NotFound("The visit's patient is not known here.")
        worker = await clinic.store.read(lambda views: views.staff_member(visit.opened_by))
        site = Site(clinic.config.site.name, clinic.config.site.code)
        origin = Origin(site, worker.name if worker else visit.opened_by, clinic.config.demo)
        return await asyncio.to_thread(documents, visit, patient, origin)
