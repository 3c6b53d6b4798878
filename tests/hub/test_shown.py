"""The audit log knows whom lists, drafts and checks have shown, without a line for each look."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, select, update

from edge.model import events as ev
from edge.model.records import VisitState
from hub import affected, audit
from hub.shown import GATHER_MS
from hub.store.schema import audit as lines
from hub.store.schema_rights import audit_shown

from .kit import DRAFT, HubKit, new_id, registered, visit_events


async def said(kit: HubKit) -> list[str]:
    """Actions of the log, without those of logging in."""
    rows = await kit.hub.store.read(lambda c: c.execute(select(lines.c.action).order_by(lines.c.seq)).scalars().all())
    return [one for one in rows if one.endswith(("_shown", "_checked")) or one in affected.READS]


async def who(kit: HubKit, actor: str = "asha") -> affected.Affected:
    def act(connection: Connection) -> affected.Affected:
        return affected.look(connection, actor, 0, 1 << 60)

    return await kit.hub.store.read(act)


async def test_a_list_that_was_shown_is_one_line_with_its_patients_and_additions_are_gathered(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    page = await kit.login()
    people = [(new_id(), new_id()) for _ in range(3)]
    for serial, (patient_id, visit_id) in enumerate(people[:2], 1):
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=serial)])
    for _ in range(5):
        assert len((await page.get("/api/queue"))["items"]) == 2  # type: ignore[arg-type]
    assert await said(kit) == ["queue_shown"]
    found = await who(kit)
    assert {one.patient_id for one in found.people} == {patient_id for patient_id, _ in people[:2]}
    assert found.reads == 0 and not any(one.opened for one in found.people)
    patient_id, visit_id = people[2]
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=3)])
    await page.get("/api/queue")
    assert await said(kit) == ["queue_shown"], "what comes to the list is gathered"
    kit.clock.pass_s(GATHER_MS / 1000)
    await kit.hub.shown.flush()
    await page.get("/api/queue")
    assert await said(kit) == ["queue_shown"] * 2
    await page.get(f"/api/visits/{visit_id}")
    found = await who(kit)
    assert {one.patient_id for one in found.people} == {one for one, _ in people}
    assert [one.patient_id for one in found.people if one.opened] == [patient_id] and found.reads == 1
    assert (await who(kit, "somebody else")).people == ()


async def test_drafts_notes_and_checks_are_readings_once_an_hour(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    page = await kit.login()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    path = f"/api/visits/{visit_id}"
    for _ in range(3):
        await page.get(f"{path}/notes")
        await page.get(f"{path}/draft")
        assert (await page.call("POST", f"{path}/check", {"draft": DRAFT})).status == 200
    assert sorted(await said(kit)) == ["draft_checked", "draft_opened", "note_opened"]
    found = await who(kit)
    assert [(one.patient_id, one.opened) for one in found.people] == [(patient_id, True)]
    kit.clock.pass_s(3600)
    await page.get(f"{path}/draft")
    assert (await said(kit)).count("draft_opened") == 2
    missing = await page.call("GET", f"/api/visits/{new_id()}/draft")
    assert missing.status == 404 and (await said(kit)).count("draft_opened") == 2


async def test_what_was_shown_cannot_be_changed_or_taken_out_without_breaking_the_chain(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    page = await kit.login()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    await page.get("/api/queue")
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    assert await kit.hub.store.read(audit.verify) == 0
    seq = await kit.hub.store.read(lambda c: c.execute(select(audit_shown.c.seq)).scalar_one())
    kept = await kit.hub.store.read(lambda c: c.execute(select(audit_shown.c.ids)).scalar_one())
    for change in (update(audit_shown).values(ids=audit._encode((new_id(),))), delete(audit_shown)):
        await kit.hub.store.write(_doer(change))
        assert await kit.hub.store.read(audit.verify) == seq
        await kit.hub.store.write(_doer(delete(audit_shown)))
        await kit.hub.store.write(_doer(audit_shown.insert().values(seq=seq, ids=kept)))
    assert await kit.hub.store.read(audit.verify) == 0


def _doer(statement: Any) -> Any:
    return lambda connection: connection.execute(statement) and None


async def test_what_was_gathered_is_written_when_the_hub_stops(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    page = await kit.login()
    for serial in (1, 2):
        patient_id, visit_id = new_id(), new_id()
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id, serial=serial)])
        await page.get("/api/queue")
    assert await said(kit) == ["queue_shown"]
    await asyncio.sleep(0)
    await kit.hub.shown.flush(everything=True)
    assert await said(kit) == ["queue_shown"] * 2
    assert await kit.hub.store.read(lambda c: c.execute(select(func.count()).select_from(audit_shown)).scalar()) == 2


async def test_looks_at_one_visit_are_counted_and_not_kept_however_many(kit: HubKit) -> None:
    """A month of lists that a hundred doctors had open is millions of looks."""
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    seen = affected._Seen()
    seen.take(affected.Read(at_ms, f"dr-{at_ms % 100:02}", visit_id, listed=True) for at_ms in range(5, 2_005))
    seen.take([affected.Read(3, "dr-00", visit_id), affected.Read(4, "dr-00", new_id())])
    assert (len(seen.looks), seen.opened) == (2, 2)
    owners = await kit.hub.store.read(lambda connection: affected._owners(connection, [visit_id]))
    (person,) = seen.people(owners)
    assert (person.first_ms, person.last_ms, person.opened, person.visit_ids) == (3, 2_004, True, (visit_id,))
    assert person.actors == tuple(f"dr-{number:02}" for number in range(100))


async def test_the_log_is_verified_a_part_at_a_time_with_the_ids_beside_it(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "AT_ONCE", 3)

    def act(connection: Connection) -> None:
        for number in range(8):
            audit.record_shown(connection, number, "asha", "queue_shown", [new_id()])
            audit.record(connection, number, "asha", "record_opened", new_id())

    await kit.hub.store.write(act)
    assert await kit.hub.store.read(audit.verify) == 0
    seq = await kit.hub.store.read(lambda c: c.execute(select(func.max(audit_shown.c.seq))).scalar())
    await kit.hub.store.write(
        lambda c: c.execute(update(audit_shown).where(audit_shown.c.seq == seq).values(ids=b"\x90"))
    )
    assert await kit.hub.store.read(audit.verify) == seq
