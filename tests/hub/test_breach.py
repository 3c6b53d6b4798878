"""After a breach: who was affected, what has to be written by when, and whom patients can complain to."""

import asyncio
import base64
import csv
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO, StringIO
from pathlib import Path

import pytest

from edge.model import events as ev
from edge.model.clock import day_of, day_text
from edge.model.errors import BadInput
from edge.sync.log import Stream
from hub import affected, audit, breach, breach_cli, review
from hub.permits import Role
from hub.store.schema import audit as audit_lines

from .home_kit import Telephone, always_open
from .kit import HubKit, NodeKit, new_id, registered, visit_events
from .test_nodes import in_stream

NOTICED_MS = 1_795_683_600_000
"""26 November 2026, 14:30 in India."""


@pytest.fixture
async def home(tmp_path: Path, database: str) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database, messages=StringIO())).start()
    await always_open(kit)
    yield kit
    await kit.stop()


async def test_a_patient_at_home_whose_record_was_opened_is_among_the_affected_and_named_in_no_report(
    home: HubKit,
) -> None:
    await home.add_doctor()
    patient, page = await Telephone(home).login(), await home.login()
    visit_id = await patient.waiting()
    await page.get(f"/api/visits/{visit_id}")
    now_ms = home.clock.ms + 1
    found = await home.hub.store.read(lambda connection: affected.look(connection, "asha", 0, now_ms))
    (person,) = found.people
    assert (person.visit_ids, person.site_code, person.district) == ((visit_id,), "H", "")
    texts = breach.reports(found, "2026-11-01 to 2026-11-26", NOTICED_MS, None, breach.Officer("K. Rao", "011-555"))
    assert "2026-11-26 20:30 IST (6 hours" in texts["1-cert-in-6h.txt"]
    assert "2026-11-29 14:30 IST (72 hours" in texts["3-board-72h.txt"]
    assert all("1 patients, 1 readings" in texts[name] for name in texts if name[0] in "123")
    assert all("K. Rao, 011-555" in texts[name] for name in texts if name[0] in "123")
    assert all("K. Rao" not in texts[name] for name in texts if name[0] == "4"), "persons ask the grievance officer"
    for text in texts.values():
        assert not any(word in text for word in (person.patient_id, visit_id, "सीता", "asha"))
        assert "None" not in text


async def test_patients_see_whom_to_complain_to_and_the_naming_is_audited(home: HubKit) -> None:
    page = Telephone(home)
    assert (await page.get("/home/api/opening"))["grievance"] is None
    officer = breach.Officer("श्रीमती क. राव", "+91 522 555 0000", "grievance@example.org")
    await home.hub.store.write(
        lambda connection: breach.put_officer(connection, breach.Role.GRIEVANCE, officer, home.clock.ms)
    )
    shown = (await page.get("/home/api/opening"))["grievance"]
    assert shown == {"name": officer.name, "phone": officer.phone, "email": officer.email}
    found = await home.hub.store.read(
        lambda connection: breach.reports(
            affected.Affected((), 0, 7), "-", NOTICED_MS, breach.load_officer(connection, breach.Role.GRIEVANCE), None
        )
    )
    assert all(officer.name in found[name] for name in ("4-persons-hi.txt", "4-persons-en.txt"))
    assert "BROKEN at line 7" in found["1-cert-in-6h.txt"]


def test_reports_are_written_once_where_nobody_else_reads(tmp_path: Path) -> None:
    texts = breach.reports(affected.Affected((), 0, 0), "-", NOTICED_MS, None, None)
    breach_cli.write(tmp_path / "out", texts)
    assert {one.name for one in (tmp_path / "out").iterdir()} == set(texts)
    assert all(one.stat().st_mode & 0o077 == 0 for one in (tmp_path / "out").iterdir())
    with pytest.raises(BadInput):
        breach_cli.write(tmp_path / "out", texts)


async def said_at(node: NodeKit, *accessed: ev.Accessed) -> None:
    """The node's own audit, a second apart."""
    for seq, one in enumerate(accessed, 1):
        node.kit.clock.pass_s(1)
        await node.send_payload(in_stream(node, Stream.AUDIT, one, seq, node.kit.clock.ms << 16, "sunita"))


async def test_what_a_node_wrote_of_its_own_readers_counts_with_its_centre(kit: HubKit) -> None:
    await kit.add_doctor()
    here, there = await kit.enrol("UP01"), await kit.enrol("UP02")
    people = [(new_id(), new_id()) for _ in range(5)]
    for serial, (patient_id, visit_id) in enumerate(people, 1):
        node = here if serial < 5 else there
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=serial)])
    doctor = await kit.login()
    await doctor.get(f"/api/visits/{people[4][1]}")
    start_ms = kit.clock.ms
    blob_id = new_id()
    await said_at(
        here,
        ev.Accessed("read_visit", people[0][1]),
        ev.Accessed("read_patient", people[1][0]),
        ev.Accessed("read_patient", new_id()),
        ev.Accessed("read_media", blob_id),
        ev.Accessed("due_list", day_text(day_of(kit.clock.ms))),
        ev.Accessed("clock_set", ""),
    )
    found = await kit.hub.store.read(lambda c: affected.look(c, "", 0, 1 << 60))
    assert {one.patient_id for one in found.people} == {people[number][0] for number in (0, 1, 4)}
    assert (found.reads, found.at_nodes, found.unsaid, found.unknown) == (5, 4, 1, 2)
    first = next(one for one in found.people if one.patient_id == people[0][0])
    assert (first.actors, first.site_code, first.opened) == (("sunita@UP01",), "UP01", True)
    person = next(one for one in found.people if one.patient_id == people[1][0])
    assert person.visit_ids == ()
    only = await kit.hub.store.read(lambda c: affected.look(c, "", 0, 1 << 60, "UP01"))
    assert {one.patient_id for one in only.people} == {people[0][0], people[1][0]}
    assert (await kit.hub.store.read(lambda c: affected.look(c, "sunita", 0, 1 << 60))).people == only.people
    assert (await kit.hub.store.read(lambda c: affected.look(c, "", 0, start_ms, "UP01"))).people == ()


async def test_the_register_of_a_day_at_a_node_showed_all_of_that_day_in_a_list(kit: HubKit) -> None:
    node = await kit.enrol()
    people = [(new_id(), new_id()) for _ in range(2)]
    for serial, (patient_id, visit_id) in enumerate(people, 1):
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=serial)])
    await said_at(node, ev.Accessed("day_register", day_text(day_of(kit.clock.ms))))
    found = await kit.hub.store.read(lambda c: affected.look(c, "", 0, 1 << 60))
    assert {one.patient_id for one in found.people} == {patient_id for patient_id, _ in people}
    assert found.reads == 0 and not any(one.opened for one in found.people)


async def test_an_administrator_makes_reports_and_list_by_one_request_that_is_audited(kit: HubKit) -> None:
    await kit.add_doctor()
    await kit.add_doctor("admin", "Admin")
    await kit.hub.store.write(lambda c: review.give_role(c, "admin", Role.ADMINISTRATOR.value, kit.clock.ms))
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    await said_at(node, ev.Accessed("read_visit", visit_id))
    day = day_text(day_of(kit.clock.ms))
    ask = {"since": day, "until": day, "noticed": f"{day}T14:30", "account": "", "centre": "UP01"}
    doctor, page = await kit.login(), await kit.login("admin")
    assert (await doctor.call("POST", "/api/breach-report", ask)).status == 403
    for wrong, status in ({"centre": "XX99"}, 404), ({"noticed": "today"}, 400), ({"since": "2030-01-01"}, 400):
        assert (await page.call("POST", "/api/breach-report", ask | wrong)).status == status
    reply = await page.call("POST", "/api/breach-report", ask)
    assert reply.status == 200, await reply.text()
    made = await reply.json()
    assert (made["patients"], made["reads"], made["at_nodes"], made["audit_broken_at"]) == (1, 1, 1, 0)
    within = zipfile.ZipFile(BytesIO(base64.b64decode(made["zip"])))
    assert tuple(within.namelist()) == tuple(made["names"])
    texts = {name: within.read(name).decode() for name in within.namelist()}
    assert "1 patients, 1 readings" in texts["1-cert-in-6h.txt"] and "20:30 IST" in texts["1-cert-in-6h.txt"]
    (line,) = csv.DictReader(StringIO(texts[breach.CSV_NAME]))
    assert (line["patient_id"], line["centre"], line["visits"]) == (patient_id, "UP01", visit_id)
    assert (line["seen_by"], line["opened"]) == ("sunita@UP01", "yes")
    assert not any("Sita Devi" in text for text in texts.values())
    told = await kit.hub.store.read(
        lambda c: c.execute(audit_lines.select().order_by(audit_lines.c.seq.desc()).limit(2)).all()
    )
    assert [(row.actor, row.action, row.subject) for row in reversed(told)] == [
        ("admin", "affected_listed", "@UP01"),
        ("admin", "breach_report", "UP01"),
    ]
    assert await kit.hub.store.read(audit.verify) == 0
