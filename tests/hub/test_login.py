"""Who gets in, and who does not."""

import pytest

from edge.web.refusals import WrongPin
from hub import audit

from .kit import PASSWORD, HubKit, Page


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
    doctor, _ = await kit.hub.desk.login("asha", PASSWORD, kit.code(), "10.0.0.9")
    assert doctor.doctor_id == "asha"


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
