"""Who gets in, and who does not."""

import asyncio

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType
from sqlalchemy.exc import OperationalError

from edge.model.errors import Refused
from edge.model.prescribing import PrescriptionDraft
from edge.web.refusals import WrongPin
from edge.web.sessions import UNTOUCHED_HEADER
from hub import audit, doctors
from hub.desk import SESSION_IDLE_MS

from .kit import DRAFT, PASSWORD, HubKit, Page, new_id, registered, visit_events


async def attempt(kit: HubKit, user: str, password: str, totp: str) -> tuple[int, str]:
    reply = await Page(kit).call("POST", "/api/login", {"user": user, "password": password, "totp": totp})
    return reply.status, (await reply.json()).get("code", "")


async def test_wrong_name_wrong_password_and_wrong_code_get_the_same_answer(kit: HubKit) -> None:
    await kit.add_doctor()
    replies = set()
    for user, password, totp in (
        ("nobody", PASSWORD, kit.code()),
        ("asha", "wrong password", kit.code()),
        ("asha", PASSWORD, "000000" if kit.code() != "000000" else "000001"),
    ):
        reply = await Page(kit).call("POST", "/api/login", {"user": user, "password": password, "totp": totp})
        replies.add((reply.status, await reply.text()))
    assert len(replies) == 1
    assert replies.pop()[0] == 401


async def test_a_code_is_good_once(kit: HubKit) -> None:
    await kit.add_doctor()
    code = kit.code()
    assert (await attempt(kit, "asha", PASSWORD, code))[0] == 200
    assert await attempt(kit, "asha", PASSWORD, code) == (401, "wrong_pin")
    kit.clock.pass_s(30)
    assert (await attempt(kit, "asha", PASSWORD, kit.code()))[0] == 200


async def test_a_code_of_the_step_before_is_taken_but_not_an_older_one(kit: HubKit) -> None:
    await kit.add_doctor()
    code = kit.code()
    kit.clock.pass_s(61)
    assert await attempt(kit, "asha", PASSWORD, code) == (401, "wrong_pin")
    code = kit.code()
    kit.clock.pass_s(29)
    assert (await attempt(kit, "asha", PASSWORD, code))[0] == 200


@pytest.mark.parametrize("user", ["asha", "nobody"])
async def test_after_three_mistakes_one_has_to_wait_whether_the_name_exists_or_not(kit: HubKit, user: str) -> None:
    await kit.add_doctor()
    for _ in range(4):
        assert await attempt(kit, user, "wrong", "123456") == (401, "wrong_pin")
    assert await attempt(kit, user, PASSWORD, kit.code()) == (429, "too_many_attempts")


async def test_a_name_that_looks_like_an_address_locks_nobody_out(kit: HubKit) -> None:
    await kit.add_doctor()
    for _ in range(4):
        with pytest.raises(WrongPin):
            await kit.hub.desk.login("@10.0.0.9", "wrong", "123456", "10.0.0.1")
    doctor, *_ = await kit.hub.desk.login("asha", PASSWORD, kit.code(), "10.0.0.9")
    assert doctor.doctor_id == "asha"


async def test_a_stranger_who_types_her_name_all_day_keeps_no_doctor_out_of_her_own_browser(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    for _ in range(8):
        await attempt(kit, "asha", "wrong", "123456")
        kit.clock.pass_s(60)
    assert (await attempt(kit, "asha", "wrong", "123456"))[0] == 401
    assert await attempt(kit, "asha", PASSWORD, kit.code()) == (429, "too_many_attempts"), "anywhere else one waits"
    await kit.hub.desk.need_password("asha", PASSWORD)  # who is logged in waits for no stranger either
    body = {"user": "asha", "password": PASSWORD, "totp": kit.code()}
    other = {**body, "user": "ravi"}
    assert (await page.call("POST", "/api/login", other)).status == 401, "the cookie speaks of one name"
    assert (await page.call("POST", "/api/login", body)).status == 200
    for _ in range(4):
        assert (await page.call("POST", "/api/login", {**body, "password": "wrong"})).status == 401
    assert (await page.call("POST", "/api/login", body)).status == 429, "and mistakes there are counted there"


async def test_the_wait_ends_and_survives_a_restart(kit: HubKit) -> None:
    await kit.add_doctor()
    for _ in range(4):
        await attempt(kit, "asha", "wrong", "123456")
    again = await kit.restart()
    try:
        assert (await attempt(again, "asha", PASSWORD, again.code()))[0] == 429
        again.clock.pass_s(30)
        assert (await attempt(again, "asha", PASSWORD, again.code()))[0] == 200
    finally:
        await again.stop()


async def test_without_a_session_nothing_is_shown(kit: HubKit) -> None:
    page = Page(kit)
    for path in ("/api/queue", "/api/session", "/api/reference", "/api/visits/0123456789abcdef", "/api/live"):
        reply = await page.call("GET", path)
        assert reply.status == 401, path


async def test_without_the_csrf_value_nothing_is_changed(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    page.csrf = "wrong"
    reply = await page.call("DELETE", "/api/session")
    assert (reply.status, (await reply.json())["code"]) == (403, "csrf")
    assert (await page.call("GET", "/api/session")).status == 200


async def test_a_session_ends_by_logging_out_by_idleness_and_by_age(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    assert (await page.call("DELETE", "/api/session")).status == 204
    assert (await page.call("GET", "/api/session")).status == 401
    page = await kit.login()
    kit.clock.pass_s(2 * 3600 + 1)
    assert (await page.call("GET", "/api/session")).status == 401


async def test_a_session_survives_a_restart_but_its_signing_key_does_not(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    assert (await page.get("/api/session"))["can_sign"] is True
    again = await kit.restart()
    try:
        moved = Page(again)
        moved.csrf, moved.cookies = page.csrf, page.cookies
        assert (await moved.get("/api/session"))["can_sign"] is False
    finally:
        await again.stop()


async def test_every_log_in_stands_in_the_audit_chain_and_the_chain_notices_a_change(kit: HubKit) -> None:
    await kit.add_doctor()
    await kit.login()
    assert await kit.hub.store.read(audit.verify) == 0
    await kit.hub.store.write(
        lambda connection: connection.exec_driver_sql("UPDATE audit SET actor = 'other' WHERE seq = 2") and None
    )
    assert await kit.hub.store.read(audit.verify) == 2


async def ended(socket: ClientWebSocketResponse) -> int | None:
    """Read until the hub closes; returns its code."""
    async with asyncio.timeout(20):
        while (await socket.receive()).type is not WSMsgType.CLOSE:
            pass
    return socket.close_code


async def test_a_console_that_only_asks_by_itself_is_logged_out_and_signs_nothing(kit: HubKit) -> None:
    await kit.add_doctor()
    page, desk = await kit.login(), kit.hub.desk
    session = await desk.find_session(page.cookies["upk_hub"])
    assert session is not None
    assert await desk.signing_key(session, PASSWORD)
    untouched_s = 0
    for _ in range(6):
        kit.clock.pass_s(15 * 60)
        untouched_s += 15 * 60
        assert (await page.call("GET", "/api/queue", headers={UNTOUCHED_HEADER: str(untouched_s)})).status == 200
    kit.clock.pass_s(25 * 60)
    assert (await page.call("GET", "/api/queue")).status == 200, "a hand was there"
    for _ in range(9):
        await kit.hub.store.write(lambda connection: None)  # a touch is written behind the answer
        kit.clock.pass_s(15 * 60)
        reply = await page.call("GET", "/api/queue", headers={UNTOUCHED_HEADER: "900"})
    assert reply.status == 200, "somebody touches it now and then"
    untouched_s = 0
    while untouched_s <= SESSION_IDLE_MS // 1000:
        kit.clock.pass_s(15 * 60)
        untouched_s += 15 * 60
        reply = await page.call("GET", "/api/queue", headers={UNTOUCHED_HEADER: str(untouched_s)})
    assert reply.status == 401
    with pytest.raises(Refused):
        await desk.signing_key(session, "")


async def test_a_disabled_doctor_is_out_signs_nothing_and_keeps_no_visit(kit: HubKit) -> None:
    await kit.add_doctor()
    await kit.add_doctor("ravi", "Dr Ravi")
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    page, other = await kit.login(), await kit.login("ravi")
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    assert (await other.call("POST", f"/api/visits/{visit_id}/take")).status == 409
    desk = kit.hub.desk
    token = page.cookies["upk_hub"]
    session = await desk.find_session(token)
    assert session is not None
    assert await desk.signing_key(session, PASSWORD)
    assert kit.client is not None
    socket = await kit.client.ws_connect("/api/live", headers={"Cookie": f"upk_hub={token}"})

    await kit.hub.store.write(lambda connection: doctors.disable_doctor(connection, "asha", kit.clock.ms))
    assert (await page.call("GET", "/api/session")).status == 401
    assert await ended(socket) == WSCloseCode.POLICY_VIOLATION
    with pytest.raises(Refused) as refused:
        await desk.signing_key(session, PASSWORD)
    assert refused.value.refusal.code == "doctor_disabled"
    asha = await desk.doctor("asha")
    key = doctors.SigningKey(bytes(32), b"")
    with pytest.raises(Refused, match="closed"):  # also when the key was in hand before
        await kit.hub.store.write(
            lambda connection: kit.hub.prescriptions._sign(
                connection, visit_id, asha, key, new_id(), msgspec.convert(DRAFT, PrescriptionDraft), b"", None
            )
        )
    kit.clock.pass_s(30)
    assert await attempt(kit, "asha", PASSWORD, kit.code()) == (401, "wrong_pin")
    async with asyncio.timeout(20):  # the hub finds out by itself, as when another process closed the account
        while (await other.call("POST", f"/api/visits/{visit_id}/take")).status != 200:
            await node.step()
    assert kit.hub.desk._unlocked.keys() == {other.cookies["upk_hub"]}

    await kit.hub.store.write(lambda connection: doctors.enable_doctor(connection, "asha", kit.clock.ms))
    kit.clock.pass_s(30)
    assert (await attempt(kit, "asha", PASSWORD, kit.code()))[0] == 200
    assert (await page.call("GET", "/api/session")).status == 401
    assert await kit.hub.store.read(audit.verify) == 0


async def test_a_page_that_only_listens_hears_nothing_after_its_session_ran_out(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    assert kit.client is not None
    socket = await kit.client.ws_connect("/api/live", headers={"Cookie": f"upk_hub={page.cookies['upk_hub']}"})
    kit.clock.pass_s(2 * 3600 + 1)
    assert await ended(socket) == WSCloseCode.POLICY_VIOLATION


async def test_a_page_is_not_logged_out_because_the_database_is_away(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(token: str) -> bool:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    await kit.add_doctor()
    page = await kit.login()
    monkeypatch.setattr(kit.hub.desk, "is_live", away)
    assert kit.client is not None
    cookie = {"Cookie": f"upk_hub={page.cookies['upk_hub']}"}
    socket = await kit.client.ws_connect("/api/live", headers=cookie)
    assert await ended(socket) == WSCloseCode.TRY_AGAIN_LATER, (
        "with another code the page would forget who is logged in"
    )
    monkeypatch.undo()
    assert (await page.call("GET", "/api/session")).status == 200


async def test_behind_the_proxy_one_strangers_mistakes_keep_out_him_and_not_every_doctor(kit: HubKit) -> None:
    await kit.add_doctor()
    kit.hub.settings = msgspec.structs.replace(kit.hub.settings, secure_cookie=True)
    stranger = doctors.address_key("203.0.113.9")
    for _ in range(5):
        await kit.hub.store.write(lambda connection: doctors.note_failure(connection, stranger, kit.clock.ms, free=0))
    body = {"user": "asha", "password": PASSWORD, "totp": kit.code()}
    assert kit.client is not None

    async def from_(forwarded: str) -> int:
        reply = await kit.client.post("/api/login", json=body, headers={"X-Forwarded-For": forwarded})  # type: ignore[union-attr]
        return reply.status

    assert await from_("203.0.113.9") == 429
    assert await from_("198.51.100.7, 203.0.113.9") == 429, "what he says himself does not count"
    assert await from_("198.51.100.7") == 200
