"""The gate at signing, when something has changed since the draft: the doctor, her key, the record."""

import asyncio

import msgspec
import pytest

from edge.model.prescribing import PrescriptionDraft
from edge.web.refusals import Unauthorised
from hub import doctors

from .kit import DRAFT, PASSWORD, HubKit, draft_with, new_id
from .test_rota_desk import OpenPage, always_open, ready
from .test_signing import LIST_A, codes, sign, video_call, waiting_visit


async def test_who_was_handed_a_visit_has_not_seen_the_patient_because_another_doctor_did(kit: HubKit) -> None:
    await always_open(kit)
    node, page, visit_id = await waiting_visit(kit)
    await kit.add_doctor("ravi", "Dr Ravi")
    other = await kit.login("ravi")
    await OpenPage(kit, "ravi").open()
    await ready(kit, other)
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    await video_call(kit, visit_id, node.node_id, video_s=60, lasted_s=80)
    assert (await page.call("POST", f"/api/visits/{visit_id}/hand-over", {"doctor_id": "ravi"})).status == 204
    status, body = await sign(other, visit_id, draft_with(LIST_A))
    assert (status, codes(body)) == (422, {"list_a_needs_video"})
    assert (await sign(other, visit_id, DRAFT))[0] == 200
    (signed,) = (await page.get(f"/api/visits/{visit_id}"))["prescriptions"]  # type: ignore[misc]
    assert signed["mode"] == "text", (  # type: ignore[has-type]
        "nobody reads on the paper that he saw her"
    )


async def test_of_two_pages_that_sign_the_same_medicine_in_one_moment_one_does_and_amending_goes_on(
    kit: HubKit,
) -> None:
    _, page, visit_id = await waiting_visit(kit)
    answers = await asyncio.gather(*(sign(page, visit_id, DRAFT) for _ in range(3)))
    assert sorted(status for status, _ in answers) == [200, 422, 422]
    assert all(codes(body) == {"drug_stands"} for status, body in answers if status == 422)
    first = next(str(body["prescription_id"]) for status, body in answers if status == 200)
    other = {**DRAFT, "medicines": [], "advice": "Come again on Monday."}
    assert (await sign(page, visit_id, other))[0] == 200, "a second paper without it is none of that"
    amended = {"draft": DRAFT, "replaces": first}
    reply = await page.call("POST", f"/api/visits/{visit_id}/check", amended)
    assert (await reply.json())["denials"] == []
    assert (await sign(page, visit_id, DRAFT, replaces=first, reason="again"))[0] == 200


async def test_a_key_that_an_administrator_replaced_meanwhile_signs_nothing(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    desk = kit.hub.desk
    session = await desk.find_session(page.cookies["upk_hub"])
    assert session is not None
    in_hand = await desk.signing_key(session, PASSWORD)
    asha = await desk.doctor("asha")

    async def signed_by(key: doctors.SigningKey) -> str:
        draft = msgspec.convert(DRAFT, PrescriptionDraft)
        sign = kit.hub.prescriptions._sign
        done = await kit.hub.store.write(
            lambda connection: sign(connection, visit_id, asha, key, new_id(), draft, b"", None)
        )
        return done[0]

    await kit.hub.store.write(
        lambda connection: doctors.reset_doctor(connection, kit.hub.keys, "asha", "another pass", kit.clock.ms) and None
    )
    with pytest.raises(Unauthorised):  # else the node would refuse what stands here as signed
        await signed_by(in_hand)
    account = await kit.hub.store.read(lambda connection: doctors.find_account(connection, "asha"))
    assert account is not None
    fresh = doctors.unwrap(account, "another pass")
    assert fresh is not None
    assert await signed_by(fresh)
