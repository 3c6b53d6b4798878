"""Prescriptions that are being written."""

from edge.model import events as ev
from edge.model.records import VisitState

from .kit import DRAFT, HubKit, new_id
from .test_signing import sign, waiting_visit


async def test_a_prescription_that_is_being_written_is_kept_for_its_doctor_alone(kit: HubKit) -> None:
    _node, page, visit_id = await waiting_visit(kit)
    await kit.add_doctor("ravi", "Dr Ravi")
    other = await kit.login("ravi")
    path, command_id = f"/api/visits/{visit_id}/draft", new_id()
    assert (await page.get(path))["draft"] is None
    half = DRAFT | {"advice": "पानी पिएँ"}
    assert (await page.call("PUT", path, {"draft": half, "command_id": command_id})).status == 200
    kept = await page.get(path)
    assert (kept["draft"]["advice"], kept["command_id"]) == ("पानी पिएँ", command_id)  # type: ignore[index]
    assert (await other.get(path))["draft"] is None


async def test_signing_forgets_the_draft_and_a_late_save_does_not_bring_it_back(kit: HubKit) -> None:
    _node, page, visit_id = await waiting_visit(kit)
    path, command_id = f"/api/visits/{visit_id}/draft", new_id()
    await page.call("PUT", path, {"draft": DRAFT, "command_id": command_id})
    body = {"command_id": command_id, "draft": DRAFT, "password": ""}
    assert (await page.call("POST", f"/api/visits/{visit_id}/sign", body)).status == 200
    assert (await page.get(path))["draft"] is None
    assert (await page.call("PUT", path, {"draft": DRAFT, "command_id": command_id})).status == 200
    assert (await page.get(path))["draft"] is None
    assert (await sign(page, visit_id, {**DRAFT, "medicines": []}))[0] == 200


async def test_a_draft_of_a_closed_visit_or_of_another_shape_is_refused(kit: HubKit) -> None:
    node, page, visit_id = await waiting_visit(kit)
    path, command_id = f"/api/visits/{visit_id}/draft", new_id()
    assert (await page.call("PUT", path, {"draft": {"dose": 1}, "command_id": command_id})).status == 400
    assert (await page.call("PUT", path, {"draft": DRAFT, "command_id": "x"})).status == 400
    await node.send([ev.VisitClosed(visit_id, VisitState.COMPLETED)])
    assert (await page.call("PUT", path, {"draft": DRAFT, "command_id": command_id})).status == 409
