"""Documents leave the hub: once each, with consent only, through an endpoint that refuses, hangs, dies and takes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Update, select, update

from edge.model import events as ev
from edge.model.errors import BadInput
from edge.model.records import Colour, VisitState
from hub import audit
from hub.exchange import outbox
from hub.exchange.endpoint import Endpoint, meaning
from hub.exchange.exporter import POLL_S, Exporter
from hub.hub import Hub
from hub.store.schema import audit as lines
from hub.store.schema import visits
from tests.kits import fhir as tables
from tests.kits.fhir_server import TOKEN, FhirServer

from .kit import HubKit, NodeKit, new_id, registered, visit_events
from .test_amending import cancel, signed
from .test_signing import waiting_visit

WORDS = frozenset({"data-7"})
SETTLED_S = outbox.SETTLED_MS / 1000 + 1


@pytest.fixture
async def server() -> AsyncIterator[FhirServer]:
    started = FhirServer()
    await started.start()
    yield started
    await started.stop()


class Sending:
    """An exporter to a server, stepped by hand."""

    def __init__(self, kit: HubKit, url: str, folder: Path, timeout_s: float = 20.0) -> None:
        self.kit = kit
        self.token_file = folder / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.endpoint = Endpoint(url, self.token_file, WORDS, timeout_s)
        self.exporter = Exporter(kit.hub.store, kit.hub.directory.site, self.endpoint, kit.clock.wall_ms)

    async def go(self, after_s: float = SETTLED_S) -> float:
        """A step after everything has settled; the pause it asks for."""
        self.kit.clock.pass_s(after_s)
        return await self.exporter.step()

    async def counts(self) -> dict[str, int]:
        return await self.kit.hub.store.read(outbox.counts)

    async def audited(self) -> list[tuple[str, str]]:
        query = select(lines.c.action, lines.c.subject).where(lines.c.action.like("fhir_%")).order_by(lines.c.seq)
        assert await self.kit.hub.store.read(audit.verify) == 0
        rows = await self.kit.hub.store.read(lambda connection: connection.execute(query).all())
        return [(row.action, row.subject) for row in rows]


def data(visit_id: str, given: bool = True, version: str = "data-7") -> ev.ConsentRecorded:
    return ev.ConsentRecorded(visit_id, "data", given, "spoken", "hi", version)


async def seen_visit(node: NodeKit, *, patient_id: str = "", consent: bool = True, **how: Any) -> tuple[str, str]:
    """A visit that a nurse has completed, without a prescription."""
    visit_id, fresh = new_id(), not patient_id
    patient_id = patient_id or new_id()
    events: list[ev.Event] = [registered(patient_id)] if fresh else []
    events += visit_events(visit_id, patient_id, **how)
    if consent:
        events.append(data(visit_id))
    await node.send([*events, ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    return visit_id, patient_id


@pytest.fixture
async def sending(kit: HubKit, server: FhirServer, tmp_path: Path) -> AsyncIterator[Sending]:
    made = await asyncio.to_thread(Sending, kit, server.url, tmp_path)
    yield made
    await made.exporter.stop()


async def test_a_signed_prescription_leaves_then_the_consultation_then_its_cancelling(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    node, page, visit_id = await waiting_visit(kit)
    await node.send([data(visit_id)])
    prescription = await signed(page, visit_id)
    await sending.go()
    (first,) = server.held.values()
    assert first["entry"][0]["resource"]["meta"]["profile"][0].endswith("PrescriptionRecord")
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    await sending.go()
    assert len(server.held) == 2
    assert (await cancel(page, visit_id, prescription))[0] == 200
    await sending.go()
    told = [tables.resources(one, "MedicationRequest") for one in server.held.values()]
    assert sorted(one["status"] for each in told for one in each) == ["active", "active", "cancelled", "cancelled"]
    assert all(tables.faults(one) == [] for one in server.held.values())
    assert await sending.counts() == {"sent": 4}
    assert await sending.audited() == [(f"fhir_{act}", visit_id) for _ in range(4) for act in ("sending", "exported")]
    asked = server.asked
    assert await sending.go() == POLL_S and server.asked == asked, "nothing leaves twice"


async def test_a_worse_day_of_the_endpoint_loses_and_doubles_nothing(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    node = await kit.enrol()
    visit_ids = {(await seen_visit(node))[0] for _ in range(3)}
    server.then = [503, "cut", "cut", "redirect", 401, 404, 429]  # a cut PUT is put again at once, by the client
    pauses = [await sending.go(3600) for _ in range(6)]
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0] and not server.held
    assert sum((await sending.counts()).values()) == 3
    server.then, server.retry_after = [503], "1800"
    kit.clock.pass_s(6 * 3600)
    assert await sending.go() == 1800, "the endpoint said how long"
    for _ in range(2):
        await sending.go(7 * 3600)
    assert await sending.counts() == {"sent": 3} and len(server.held) == 3
    exported = [subject for action, subject in await sending.audited() if action == "fhir_exported"]
    assert sorted(exported) == sorted(visit_ids)


async def test_a_page_for_people_in_place_of_an_answer_has_taken_nothing(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    await seen_visit(await kit.enrol())
    server.then = ["page"]
    await sending.go()
    assert await sending.counts() == {"waiting:fhir_wrong_address": 1} and not server.held
    await sending.go(3600)
    assert await sending.counts() == {"sent": 1} and len(server.held) == 1


async def test_a_document_that_was_taken_without_an_answer_is_sent_again_under_its_own_id(
    kit: HubKit, server: FhirServer, tmp_path: Path
) -> None:
    node = await kit.enrol()
    visit_id, _ = await seen_visit(node)
    impatient = await asyncio.to_thread(Sending, kit, server.url, tmp_path, 1.0)
    server.then = ["taken, no answer"]
    await impatient.go()
    await impatient.exporter.stop()
    assert await impatient.counts() == {"waiting:fhir_timeout": 1}
    assert await impatient.audited() == [("fhir_sending", visit_id)], "it may have arrived: that stands in the log"
    # another process goes on
    after = await asyncio.to_thread(Sending, kit, server.url, tmp_path)
    await after.go()
    await after.exporter.stop()
    assert await after.counts() == {"sent": 1} and len(server.held) == 1 and server.asked == 2


async def test_an_address_where_nobody_listens_is_asked_ever_more_rarely(kit: HubKit, tmp_path: Path) -> None:
    node = await kit.enrol()
    await seen_visit(node)
    away = FhirServer()
    await away.start()
    url = away.url
    await away.stop()
    sender = await asyncio.to_thread(Sending, kit, url, tmp_path)
    assert [await sender.go(), await sender.go(1)] == [5.0, POLL_S], "a document that failed waits half a minute"
    assert await sender.counts() == {"waiting:fhir_unreachable": 1}
    pauses = [await sender.go(12 * 3600) for _ in range(9)]
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0, 300.0]
    await sender.exporter.stop()


async def test_what_is_refused_stops_nobody_and_waits_for_a_person(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    node = await kit.enrol()
    await seen_visit(node)
    await seen_visit(node, serial=2)
    server.then = [422]
    await sending.go()
    assert await sending.counts() == {"refused:fhir_refused": 1, "sent": 1}
    await sending.go()
    assert server.asked == 2
    assert await kit.hub.store.write(outbox.again) == 1
    await sending.go()
    assert await sending.counts() == {"sent": 2}


async def test_nothing_leaves_without_a_consent_that_speaks_of_it_and_stands(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    node = await kit.enrol()
    await seen_visit(node, consent=False, colour=Colour.RED)
    other_words, _ = await seen_visit(node, consent=False)
    await node.send([data(other_words, version="data-1")])
    taken_back, _ = await seen_visit(node)
    await node.send([data(taken_back, given=False)])
    await sending.go()
    assert await sending.counts() == {} and not server.asked

    earlier, patient_id = await seen_visit(node)
    server.then = [503]
    await sending.go()
    later = new_id()
    await node.send([*visit_events(later, patient_id), data(later, given=False)])
    kit.clock.pass_s(3600)
    await sending.go()
    assert await sending.counts() == {"withheld:consent_missing": 1} and not server.held
    kit.clock.pass_s(60)
    await node.send([data(later), data(earlier)])
    await sending.go()
    assert await sending.counts() == {"sent": 1}, "given anew, it leaves"


async def test_a_visit_that_says_something_else_before_it_is_taken_sends_that(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    node = await kit.enrol()
    visit_id, _ = await seen_visit(node)
    server.then = [503]
    await sending.go()
    await node.send([ev.ComplaintsRecorded(visit_id, (), "since the fair")])
    kit.clock.pass_s(3600)
    await sending.go()
    assert await sending.counts() == {"outdated": 1, "sent": 1}
    (held,) = server.held.values()
    assert "since the fair" in msgspec.json.encode(held).decode()


async def test_a_visit_that_cannot_be_read_keeps_no_other_back(
    kit: HubKit, server: FhirServer, sending: Sending
) -> None:
    node = await kit.enrol()
    damaged, _ = await seen_visit(node)
    later, _ = await seen_visit(node, serial=2)

    def damage(visit_id: str) -> Update:
        return update(visits).where(visits.c.visit_id == visit_id).values(view=b"\xc1")

    await kit.hub.store.write(lambda connection: connection.execute(damage(damaged)) and None)
    server.then = [503]
    await sending.go()
    await kit.hub.store.write(lambda connection: connection.execute(damage(later)) and None)
    await seen_visit(node, serial=3)
    for _ in range(3):
        await sending.go(3600)
    assert await sending.counts() == {"refused:fhir_not_made": 1, "sent": 1}


async def test_another_token_is_taken_over_without_a_restart_and_another_endpoint_begins_anew(
    kit: HubKit, server: FhirServer, sending: Sending, tmp_path: Path
) -> None:
    node = await kit.enrol()
    await seen_visit(node)
    server.token = "another"
    await sending.go()
    assert await sending.counts() == {"waiting:fhir_unauthorised": 1}
    await asyncio.to_thread(sending.token_file.write_text, "another\n")
    await sending.go()
    assert await sending.counts() == {"sent": 1}
    elsewhere = FhirServer()
    elsewhere.token = TOKEN
    await elsewhere.start()
    second = await asyncio.to_thread(Sending, kit, elsewhere.url, tmp_path)
    await second.go()
    assert elsewhere.held == server.held
    await second.exporter.stop()
    await elsewhere.stop()


async def test_a_hub_sends_by_itself_while_it_leads(server: FhirServer, tmp_path: Path) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub")
    await kit.start()
    node = await kit.enrol()
    await seen_visit(node)
    await kit.stop()
    token = tmp_path / "token"
    await asyncio.to_thread(token.write_text, TOKEN)
    settings = msgspec.structs.replace(
        kit.settings,
        fhir_endpoint=server.url,
        fhir_token_file=token,
        fhir_consent=("data-7",),
    )
    hub = await asyncio.to_thread(Hub, settings, kit.clock.wall_ms, kit.clock.monotonic_s)
    await hub.start()
    try:
        await asyncio.wait_for(server.taken.wait(), 60)
    finally:
        await hub.stop()
    assert len(server.held) == 1


@pytest.mark.parametrize(
    ("url", "words", "field"),
    [
        ("http://fhir.example.in/r4", WORDS, "fhir_endpoint"),
        ("https://name:secret@fhir.example.in/r4", WORDS, "fhir_endpoint"),
        ("https://fhir.example.in/r4?key=1", WORDS, "fhir_endpoint"),
        ("https://fhir.example.in:port/r4", WORDS, "fhir_endpoint"),
        ("fhir.example.in", WORDS, "fhir_endpoint"),
        ("https://fhir.example.in/r4", frozenset(), "fhir_consent"),
    ],
)
def test_an_endpoint_is_https_without_secrets_and_needs_a_consent(url: str, words: frozenset[str], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        Endpoint(url, None, words)
    assert refused.value.refusal.field == field


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff", b"x" * 20_000])
def test_a_file_without_a_token_is_told_at_the_start(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(BadInput) as refused:
        Endpoint("https://fhir.example.in/r4", tmp_path / "token", WORDS)
    assert refused.value.refusal.field == "fhir_token_file"


def test_every_status_has_its_meaning() -> None:
    found = {
        status: meaning(status).code for status in (200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503)
    }
    assert found == {
        200: "",
        201: "",
        204: "",
        302: "fhir_wrong_address",
        400: "fhir_refused",
        401: "fhir_unauthorised",
        403: "fhir_unauthorised",
        404: "fhir_wrong_address",
        409: "fhir_refused",
        422: "fhir_refused",
        429: "fhir_busy",
        500: "fhir_busy",
        503: "fhir_busy",
    }
    waits = [
        meaning(503, text).wait_s for text in ("7", "99999999999999", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1")
    ]
    assert waits == [7.0, 3600.0, 60.0, 0.0, 0.0]
    assert [outbox.backoff_ms(tries) for tries in (1, 2, 3, 99)] == [30_000, 60_000, 120_000, 6 * 3600_000]
