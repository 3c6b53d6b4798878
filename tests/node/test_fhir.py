"""A node makes the documents of its visits by itself, as fhir.md demands, and the same as the hub makes of them."""

import json
from pathlib import Path

from edge.model.fhir import Origin, documents
from edge.model.prescription import Site
from tests.kits.fhir import Found, faults, resources
from tests.node.kit import NAME, Served, provisioned


async def test_a_visit_that_has_ended_is_a_consultation_record_without_any_network(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    async with Served(setup) as served:
        tablet = served.tablet
        path = "/api/visits/{}/fhir"
        assert (await tablet.call("GET", path.format("0" * 16)))[0] in (401, 423)
        await tablet.login(setup)
        patient_id, visit_id = await tablet.register()
        await tablet.fill(visit_id)
        assert (await tablet.call("GET", path.format("0" * 16)))[0] == 404

        async def collection() -> Found:
            async with tablet.http.get(path.format(visit_id)) as reply:
                assert reply.status == 200
                found: Found = json.loads(await reply.read())
                return found

        assert await collection() == {"resourceType": "Bundle", "type": "collection"}, "nothing to tell yet"
        await tablet.say("close_visit", visit_id=visit_id, outcome="completed")
        whole = await collection()
        assert len(whole["entry"]) == 1
        entry = whole["entry"][0]
        document = entry["resource"]
        assert faults(document) == []
        assert [one["name"][0]["text"] for one in resources(document, "Patient")] == [NAME]
        clinic = served.node.clinic
        visit = await clinic.visit(visit_id)
        patient = await clinic.store.read(lambda views: views.patient(patient_id))
        worker = await clinic.store.read(lambda views: views.staff_member(visit.opened_by))
        assert patient is not None and worker is not None
        site = Site(clinic.config.site.name, clinic.config.site.code)
        (made,) = documents(visit, patient, Origin(site, worker.name, clinic.config.demo))
        assert json.loads(made.content) == document and entry["fullUrl"] == f"urn:uuid:{made.document_id}"
