"""Administration: accounts, centres, tokens, numbers to ring, break-glass and what is written down about all of it."""

import argparse
import base64
import io
from typing import Any

import pyotp
import pypdfium2
import pytest
import zxingcpp
from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model.records import Role as NodeRole
from edge.sync import enrol
from hub import affected, audit, breach_cli, glass, on_call, review
from hub.directory import published_doctors
from hub.permits import Role
from hub.store.schema import audit as lines
from hub.web import report_api

from .kit import DRAFT, PASSWORD, HubKit, NodeKit, Page, new_id, registered, visit_events
from .test_permits import person


async def post(page: Page, path: str, body: object, method: str = "POST") -> tuple[int, Any]:
    reply = await page.call(method, path, body)
    return reply.status, await reply.json() if reply.content_type == "application/json" else await reply.read()


async def only(page: Page, path: str) -> dict[str, Any]:
    """The one item of a list."""
    items: Any = (await page.get(path))["items"]
    assert len(items) == 1
    found: dict[str, Any] = items[0]
    return found


async def said(kit: HubKit, *actions: str) -> list[tuple[str, str, str]]:
    query = select(lines.c.actor, lines.c.action, lines.c.subject).where(lines.c.action.in_(actions))
    rows = await kit.hub.store.read(lambda connection: connection.execute(query.order_by(lines.c.seq)).all())
    assert await kit.hub.store.read(audit.verify) == 0
    return [(row.actor, row.action, row.subject) for row in rows]


NEW = {
    "person_id": "meera",
    "name": "Dr Meera",
    "registration": "BMC/1",
    "qualification": "MBBS",
    "password": PASSWORD,
}


async def log_in(kit: HubKit, given: dict[str, Any]) -> int:
    kit.clock.pass_s(30)
    code = pyotp.TOTP(given["totp_secret"]).at(kit.clock.ms // 1000)
    body = {"user": given["person_id"], "password": given["password"], "totp": code}
    return (await Page(kit).call("POST", "/api/login", body)).status


async def test_an_account_is_added_reset_closed_and_opened_with_the_administrators_password(kit: HubKit) -> None:
    page = await person(kit, Role.ADMINISTRATOR)
    assert (await post(page, "/api/people", {**NEW, "password": "not it at all"}))[0] == 401
    status, made = await post(page, "/api/people", NEW)
    assert status == 200 and [one["roles"] for one in made["items"] if one["person_id"] == "meera"] == [["doctor"]]
    assert await log_in(kit, made["secrets"]) == 200
    assert (await post(page, "/api/people", NEW))[0] == 409
    confirm = {"password": PASSWORD}
    status, again = await post(page, "/api/people/meera", {"type": "reset", **confirm})
    assert status == 200
    assert await log_in(kit, made["secrets"]) == 401, "the old password and authenticator are nobody's any more"
    assert await log_in(kit, again["secrets"]) == 200
    status, closed = await post(page, "/api/people/meera", {"type": "disable", **confirm})
    assert status == 200 and next(one for one in closed["items"] if one["person_id"] == "meera")["disabled_ms"]
    assert await log_in(kit, again["secrets"]) == 401
    assert (await post(page, "/api/people/meera", {"type": "enable", **confirm}))[0] == 200
    kit.clock.pass_s(3600)
    assert await log_in(kit, again["secrets"]) == 200
    roles = {"type": "roles", "roles": ["viewer"], "districts": ["Gaya"], **confirm}
    status, viewer = await post(page, "/api/people/meera", roles)
    meera = next(one for one in viewer["items"] if one["person_id"] == "meera")
    assert (meera["roles"], meera["districts"]) == (["viewer"], ["Gaya"])
    status, doctor = await post(page, "/api/people/meera", {"type": "roles", "roles": ["doctor"], **confirm})
    assert next(one for one in doctor["items"] if one["person_id"] == "meera")["roles"] == ["doctor"]
    assert await said(kit, "doctor_added", "doctor_reset", "doctor_disabled", "doctor_enabled") == [
        ("", "doctor_added", "administrator"),
        *(("administrator", f"doctor_{act}", "meera") for act in ("added", "reset", "disabled", "enabled")),
    ]


async def test_nobody_changes_her_own_account(kit: HubKit) -> None:
    page = await person(kit, Role.ADMINISTRATOR)
    for act in ({"type": "roles", "roles": ["doctor"]}, {"type": "disable"}, {"type": "reset"}):
        status, reply = await post(page, "/api/people/administrator", {**act, "password": PASSWORD})
        assert (status, reply["code"]) == (409, "own_account")


async def test_after_a_reset_nodes_learn_the_new_key_and_that_the_old_one_is_closed(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    page = await person(kit, Role.ADMINISTRATOR)
    first = await kit.hub.store.read(_key)
    assert (await post(page, "/api/people/asha", {"type": "reset", "password": PASSWORD}))[0] == 200
    second = await kit.hub.store.read(_key)
    assert first != second

    def published() -> list[bytes]:
        said = [one for one in node.said_by_hub() if isinstance(one, ev.StaffPublished) and one.person_id == "asha"]
        return [one.public_key for one in said]

    await node.until(lambda: second in published())
    await node.until(lambda: any(isinstance(one, ev.RevocationsPublished) for one in node.said_by_hub()))


def _key(connection: Connection) -> bytes:
    return next(one.public_key for one in published_doctors(connection) if one.person_id == "asha")


async def test_a_tokens_label_carries_the_token_that_enrols_and_a_site_is_moved(kit: HubKit) -> None:
    page = await person(kit, Role.ADMINISTRATOR)
    site = {"code": "GA01", "name": "उप-स्वास्थ्य केंद्र नमूनापुर", "district": "Gaya", "block": "Bodh Gaya"}
    assert (await post(page, "/api/tokens", {"password": PASSWORD, **site, "code": "!"}))[0] == 400
    assert (await post(page, "/api/tokens", {"password": PASSWORD, "code": "GA01"}))[0] == 400
    status, made = await post(page, "/api/tokens", {"password": PASSWORD, **site})
    assert status == 200
    (sheet,) = pypdfium2.PdfDocument(io.BytesIO(base64.b64decode(made["label"])))
    (code,) = zxingcpp.read_barcodes(sheet.render(scale=3).to_pil())
    assert code.text == made["token"]
    assert enrol.parse_token(code.text)
    waiting: Any = (await page.get("/api/sites"))["tokens"]
    assert [(one["site_code"], one["block"]) for one in waiting] == [("GA01", "Bodh Gaya")]
    node = await kit.enrol("UP01")
    status, _ = await post(page, f"/api/sites/{node.node_id}", {"district": "Gaya", "block": "Bodh Gaya"}, "PUT")
    assert status == 200
    at_hub = kit.hub.directory.site(node.node_id)
    assert (at_hub.district, at_hub.block) == ("Gaya", "Bodh Gaya")
    status, other = await post(page, "/api/tokens", {"password": PASSWORD, "replaces": node.node_id})
    assert (status, other["site_code"]) == (200, "UP01")


async def test_a_node_and_a_member_of_its_staff_are_revoked(kit: HubKit) -> None:
    node = await kit.enrol()
    await node.send([ev.StaffListed(new_id(), "Sunita Devi", "सुनीता देवी", NodeRole.ANM, bytes(16))])
    page = await person(kit, Role.ADMINISTRATOR)
    one = await only(page, f"/api/sites/{node.node_id}/staff")
    path = f"/api/sites/{node.node_id}/staff/{one['staff_id']}"
    status, staff = await post(page, path, {"password": PASSWORD, "removed": True}, "PUT")
    assert status == 200 and staff["items"][0]["removed_ms"]
    status, staff = await post(page, path, {"password": PASSWORD, "removed": False}, "PUT")
    assert status == 200 and not staff["items"][0]["removed_ms"]
    assert (await post(page, f"/api/sites/{node.node_id}/revoke", {"password": "x"}))[0] == 401
    status, sites = await post(page, f"/api/sites/{node.node_id}/revoke", {"password": PASSWORD})
    assert status == 200 and sites["items"][0]["revoked_ms"]
    record = kit.hub.directory.by_id(node.keys.node_id)
    assert record is not None and record.revoked
    assert ("administrator", "revoked", node.node_id) in await said(kit, "revoked")


def _numbers(node: NodeKit) -> list[list[str]]:
    said = [one for one in node.said_by_hub() if isinstance(one, ev.OnCallPublished)]
    return [[number.phone for number in one.numbers] for one in said]


async def put_numbers(
    page: Page, district: str, *numbers: tuple[str, str], password: str = PASSWORD
) -> tuple[int, Any]:
    """Change the list that stands there now."""
    lists: Any = (await page.get("/api/on-call"))["items"]
    seen_ms = next((one["changed_ms"] for one in lists if one["district"] == district), 0)
    items = [{"name": name, "phone": phone} for name, phone in numbers]
    body = {"password": password, "district": district, "items": items, "seen_ms": seen_ms}
    return await post(page, "/api/on-call", body, "PUT")


HERE = ("PHC, duty doctor", "5550100")
GAYA = ("PHC Gaya", "5550900")


async def test_numbers_to_ring_reach_the_nodes_of_their_district_and_those_enrolled_later(kit: HubKit) -> None:
    node = await kit.enrol()
    page = await person(kit, Role.COORDINATOR)
    for district, number in (("", ("Control room", "5550108")), ("Sitapur", HERE), ("Gaya", GAYA)):
        assert (await put_numbers(page, district, number))[0] == 200
    assert (await put_numbers(page, "Sitapur", ("x", "ring me")))[0] == 400
    await node.until(lambda: _numbers(node)[-1:] == [["5550100", "5550108"]])
    later = await kit.enrol("UP02")
    await later.until(lambda: _numbers(later)[-1:] == [["5550100", "5550108"]])
    kit.clock.pass_s(1)
    assert (await put_numbers(page, "Sitapur"))[0] == 200
    await node.until(lambda: _numbers(node)[-1:] == [["5550108"]])


async def test_numbers_to_ring_are_changed_with_the_password_and_never_over_what_somebody_else_wrote(
    kit: HubKit,
) -> None:
    page = await person(kit, Role.COORDINATOR)
    body = {"district": "Gaya", "items": [{"name": "PHC Gaya", "phone": "5550900"}], "seen_ms": 0}
    assert (await post(page, "/api/on-call", body, "PUT"))[0] == 400
    status, reply = await put_numbers(page, "Gaya", GAYA, password="not it at all")
    assert (status, reply["code"]) == (401, "wrong_pin")
    assert (await page.get("/api/on-call"))["items"] == [], "a refused list is nobody's"
    kit.clock.pass_s(60)
    body["password"] = PASSWORD
    assert (await post(page, "/api/on-call", body, "PUT"))[0] == 200
    status, reply = await post(page, "/api/on-call", {**body, "items": []}, "PUT")
    assert (status, reply["code"]) == (409, "on_call_outdated")
    assert (await only(page, "/api/on-call"))["items"] == body["items"]
    assert await said(kit, "on_call_changed") == [("coordinator", "on_call_changed", "Gaya")]


async def test_a_node_that_was_moved_rings_the_numbers_of_its_new_district_and_not_of_the_old_one(kit: HubKit) -> None:
    node = await kit.enrol()
    page, admin = await person(kit, Role.COORDINATOR), await person(kit, Role.ADMINISTRATOR)
    for district, number in (("Gaya", GAYA), ("Sitapur", HERE)):  # the new district's list is the older one
        assert (await put_numbers(page, district, number))[0] == 200
    await node.until(lambda: _numbers(node)[-1:] == [["5550100"]])
    for district, numbers in (("Gaya", ["5550900"]), ("Patna", [])):  # nobody keeps a list for Patna
        assert (await post(admin, f"/api/sites/{node.node_id}", {"district": district}, "PUT"))[0] == 200
        await node.until(lambda numbers=numbers: _numbers(node)[-1:] == [numbers])  # type: ignore[misc]


async def test_whom_patients_complain_to_reaches_every_node_and_those_enrolled_later(kit: HubKit) -> None:
    node = await kit.enrol()

    def named(one: NodeKit) -> list[str]:
        return [said.name for said in one.said_by_hub() if isinstance(said, ev.GrievanceNamed)]

    async def name(text: str, role: str = "grievance") -> None:
        arguments = argparse.Namespace(role=role, name=text, phone="+91 522 555", email="")
        await kit.hub.store.write(breach_cli.officer(arguments, kit.clock.ms))

    await name("Incident", "incident")
    await name("K. Rao")
    await node.until(lambda: named(node) == ["K. Rao"])
    later = await kit.enrol("UP02")
    await later.until(lambda: named(later) == ["K. Rao"])
    assert await kit.hub.store.read(on_call.lacking) == []
    await name("M. Iyer")
    await node.until(lambda: named(node) == ["K. Rao", "M. Iyer"])


REASON = "RED patient, no doctor answers since 20 minutes"


async def test_broken_glass_opens_one_record_for_a_while_and_somebody_else_reviews_it(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id, other = new_id(), new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id), *visit_events(other, patient_id)])
    page, admin = await person(kit, Role.COORDINATOR), await person(kit, Role.ADMINISTRATOR)
    path = f"/api/visits/{visit_id}"
    assert (await page.call("GET", f"{path}/broken-glass")).status == 409
    assert (await post(page, f"{path}/break-glass", {"reason": REASON, "password": "wrong"}))[0] == 401
    assert (await post(page, f"{path}/break-glass", {"reason": "because", "password": PASSWORD}))[0] == 400
    since_ms = kit.clock.ms
    assert (await post(page, f"{path}/break-glass", {"reason": REASON, "password": PASSWORD}))[0] == 200
    opened: Any = await page.get(f"{path}/broken-glass")
    assert opened["patient"]["person"]["name"] == "Sita Devi"
    assert (await page.call("GET", f"/api/visits/{other}/broken-glass")).status == 409, "this one visit only"
    assert (await page.call("GET", path)).status == 403 and (await page.call("GET", "/api/queue")).status == 403
    kit.clock.pass_s(glass.OPEN_MS / 1000)
    assert (await page.call("GET", f"{path}/broken-glass")).status == 409
    listed = await (await admin.call("GET", "/api/glass")).text()
    assert REASON in listed and "Sita" not in listed
    one = await only(admin, "/api/glass")
    assert (one["reads"], one["reviewed_ms"]) == (1, 0)
    verdict = {"verdict": "Rang the coordinator; the patient was sent by 108"}
    status, after = await post(admin, f"/api/glass/{one['glass_id']}", verdict)
    assert status == 200 and after["items"][0]["reviewed_by"] == "administrator"
    assert (await post(admin, f"/api/glass/{one['glass_id']}", verdict))[0] == 409
    found = await kit.hub.store.read(lambda connection: affected.look(connection, "", since_ms, kit.clock.ms + 1))
    assert [one.patient_id for one in found.people] == [patient_id], "who was affected knows of it"
    assert await said(kit, "glass_broken", "glass_reviewed") == [
        ("coordinator", "glass_broken", visit_id),
        ("administrator", "glass_reviewed", visit_id),
    ]


async def test_nobody_reviews_what_she_opened_herself(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    page = await person(kit, Role.COORDINATOR)
    await post(page, f"/api/visits/{visit_id}/break-glass", {"reason": REASON, "password": PASSWORD})
    now_ms = kit.clock.ms
    await kit.hub.store.write(lambda connection: review.give_role(connection, "coordinator", "administrator", now_ms))
    one = await only(page, "/api/glass")
    status, reply = await post(page, f"/api/glass/{one['glass_id']}", {"verdict": "It was right"})
    assert (status, reply["code"]) == (409, "own_glass")


async def test_a_person_breaks_the_glass_ten_times_a_day_and_a_clock_set_back_opens_nothing_for_longer(
    kit: HubKit,
) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    page = await person(kit, Role.COORDINATOR)
    path, body = f"/api/visits/{visit_id}", {"reason": REASON, "password": PASSWORD}
    for _ in range(glass.OPENINGS_A_DAY):
        assert (await post(page, f"{path}/break-glass", body))[0] == 200
    status, reply = await post(page, f"{path}/break-glass", body)
    assert (status, reply["code"]) == (409, "glass_many")
    kit.clock.ms -= glass.SET_BACK_MS + 1
    assert (await page.call("GET", f"{path}/broken-glass")).status == 409
    kit.clock.ms += glass.SET_BACK_MS + 1
    assert (await page.call("GET", f"{path}/broken-glass")).status == 200
    now_ms = kit.clock.ms + glass.DAY_MS
    until_ms = await kit.hub.store.write(lambda c: glass.break_glass(c, "coordinator", visit_id, REASON, now_ms))
    assert until_ms == now_ms + glass.OPEN_MS


async def test_the_lists_say_which_version_runs_and_who_decided_what(kit: HubKit) -> None:
    officer = await person(kit, Role.MEDICAL_OFFICER)
    items: Any = (await officer.get("/api/review"))["items"]
    item = items[0]["item"]
    body = {"item": item["item"], "fingerprint": item["fingerprint"], "decision": "approved", "note": ""}
    assert (await post(officer, "/api/review", body))[0] == 200
    admin = await person(kit, Role.ADMINISTRATOR)
    lists: Any = await admin.get("/api/lists")
    assert {"formulary", "drug_lists", "triage_rules"} <= {one["name"] for one in lists["versions"]}
    assert all(one["version"] for one in lists["versions"])
    assert sum(one["approved"] for one in lists["kinds"]) == 1
    (told,) = lists["history"]
    assert (told["person_name"], told["title"], told["decision"], told["present"]) == (
        "Person medical_officer",
        item["title"],
        "approved",
        True,
    )


async def test_a_viewer_sees_the_figures_of_her_district_and_of_no_doctor(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    doctor = await kit.login()
    await post(doctor, f"/api/visits/{visit_id}/sign", {"command_id": new_id(), "draft": DRAFT})
    admin, viewer = await person(kit, Role.ADMINISTRATOR), await person(kit, Role.VIEWER)
    day = "since=2026-09-01&until=2026-09-30&demo=true"
    sheet: Any = await admin.get(f"/api/report?{day}&by=doctor")
    assert [(one["of"], one["visits"], one["prescriptions"]) for one in sheet["items"]] == [("asha", 1, 1)]
    assert sheet["doctors"] == {"asha": "Dr Asha Rao"} and sheet["items"][0]["kilobytes"] >= 1
    assert not sheet["coarse"]
    assert (await viewer.call("GET", f"/api/report?{day}&by=doctor")).status == 403
    few: Any = await viewer.get(f"/api/report?{day}&by=node")
    assert (few["items"], few["coarse"], few["totals"]["visits"]) == ([], True, 0), "one visit is one person"
    assert sheet["totals"]["visits"] == sheet["totals"]["prescriptions"] == 1
    said = await (await viewer.call("GET", f"/api/report.csv?{day}&by=node")).text()
    assert len(said.splitlines()) == 1
    roles = {"type": "roles", "roles": ["viewer"], "districts": ["Gaya"], "password": PASSWORD}
    assert (await post(admin, "/api/people/viewer", roles))[0] == 200
    other: Any = await viewer.get(f"/api/report?{day}&by=district")
    assert (other["items"], other["districts"]) == ([], ["Gaya"])
    assert (await viewer.call("GET", f"/api/report?{day}&district=Sitapur")).status == 403
    csv = await (await admin.call("GET", f"/api/report.csv?{day}&by=block")).text()
    assert csv.splitlines()[1].split(",")[1] == "Sitapur"
    pdf = await (await admin.call("GET", f"/api/report.pdf?{day}&monthly=true")).read()
    assert pdf.startswith(b"%PDF")
    assert (await admin.call("GET", "/api/report?since=2026-09-30&until=2026-09-01")).status == 400


async def test_figures_that_take_too_long_or_are_asked_for_by_too_many_are_refused_as_busy(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await person(kit, Role.ADMINISTRATOR)
    for name, most in (("PATIENCE_S", 0.0), ("WAITING_MAX", 0)):
        monkeypatch.setattr(report_api, name, most)
        reply = await admin.call("GET", "/api/report")
        assert (reply.status, (await reply.json())["code"]) == (503, "unavailable")


async def test_reading_is_written_down(kit: HubKit) -> None:
    page = await person(kit, Role.ADMINISTRATOR)
    for path in ("people", "sites", "fleet", "updates", "on-call", "glass"):
        await page.get(f"/api/{path}")
    told = await said(kit, "people_read", "sites_read", "fleet_read", "updates_read", "on_call_read", "glass_read")
    assert len(told) == 6 and {actor for actor, _, _ in told} == {"administrator"}
