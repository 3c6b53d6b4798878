"""A log-in that an administrator has seen does nothing until its person has replaced it; recovery codes."""

from typing import Any

import pyotp
from sqlalchemy import select

from edge.sync import seal
from hub.permits import Role
from hub.store.schema import audit
from hub.store.schema import doctors as accounts
from hub.store.schema_office import retired_keys

from .kit import PASSWORD, HubKit, Page
from .test_office import NEW
from .test_permits import person

OWN = "a password of my own"


async def logged_in(kit: HubKit, user: str, password: str, code: str) -> tuple[Page, dict[str, Any]]:
    page = Page(kit)
    reply = await page.call("POST", "/api/login", {"user": user, "password": password, "totp": code})
    body: dict[str, Any] = await reply.json()
    page.csrf = body.get("csrf", "")
    return page, {"status": reply.status, **body}


def code_of(kit: HubKit, secret: str) -> str:
    kit.clock.pass_s(30)
    return pyotp.TOTP(secret).at(kit.clock.ms // 1000)


async def said(page: Page, method: str, path: str, body: object) -> tuple[int, dict[str, Any]]:
    reply = await page.call(method, path, body)
    return reply.status, await reply.json()


async def renewed(kit: HubKit, page: Page, old: str, new: str) -> tuple[str, list[str]]:
    """The new authenticator's secret, and the recovery codes."""
    status, drawn = await said(page, "POST", "/api/own/authenticator", {"password": old})
    assert status == 200 and drawn["secret"] in drawn["uri"] and drawn["qr"]
    asked = {"password": old, "new_password": new, "ticket": drawn["ticket"]}
    refused = await said(page, "PUT", "/api/own/login", {**asked, "code": "000000"})
    assert (refused[0], refused[1]["code"]) == (409, "totp_wrong")
    status, done = await said(page, "PUT", "/api/own/login", {**asked, "code": code_of(kit, drawn["secret"])})
    assert status == 200, done
    return drawn["secret"], done["codes"]


async def test_whoever_was_given_a_log_in_replaces_it_first_and_nobody_else_holds_her_key(kit: HubKit) -> None:
    admin = await person(kit, Role.ADMINISTRATOR)
    status, made = await said(admin, "POST", "/api/people", NEW)
    assert status == 200
    given = made["secrets"]
    page, found = await logged_in(kit, NEW["person_id"], given["password"], code_of(kit, given["totp_secret"]))
    assert (found["status"], found["given"], found["codes_left"]) == (200, True, 0)
    other, _ = await logged_in(kit, NEW["person_id"], given["password"], code_of(kit, given["totp_secret"]))
    assert [(await page.call("GET", path)).status for path in ("/api/queue", "/api/rota", "/api/live")] == [403] * 3
    assert (await page.call("GET", "/api/session")).status == 200
    assert (await said(page, "POST", "/api/own/authenticator", {"password": "not it at all"}))[0] == 401
    for new, code in ((given["password"], "password_same"), ("short", "password_short")):
        asked = {"password": given["password"], "new_password": new, "ticket": "eA==", "code": "123456"}
        status, refusal = await said(page, "PUT", "/api/own/login", asked)
        assert (status, refusal["code"]) == (409, code)
    asked = {"password": given["password"], "new_password": OWN, "ticket": "eA==", "code": "123456"}
    assert (await said(page, "PUT", "/api/own/login", asked))[1]["field"] == "ticket"

    query = select(accounts.c.key_public).where(accounts.c.doctor_id == NEW["person_id"])
    before = bytes(await kit.hub.store.read(lambda c: c.execute(query).scalar_one()))
    secret, codes = await renewed(kit, page, given["password"], OWN)
    assert len(set(codes)) == 8
    after = bytes(await kit.hub.store.read(lambda c: c.execute(query).scalar_one()))
    closed = select(retired_keys.c.key_public).where(retired_keys.c.doctor_id == NEW["person_id"])
    assert before == bytes(await kit.hub.store.read(lambda c: c.execute(closed).scalar_one()))
    assert after != before, "whoever made the account could have kept the first key"
    assert (await page.call("GET", "/api/queue")).status == 200
    assert (await other.call("GET", "/api/session")).status == 401, "her other sessions have ended"
    token = page.cookies["upk_hub"]
    session = await kit.hub.desk.find_session(token)
    assert session is not None
    key = await kit.hub.desk.signing_key(session, "")
    assert seal.verifier_of(key.private) == after
    old = await logged_in(kit, NEW["person_id"], given["password"], code_of(kit, secret))
    assert old[1]["status"] == 401
    _, again = await logged_in(kit, NEW["person_id"], OWN, code_of(kit, secret))
    assert (again["status"], again["given"], again["codes_left"]) == (200, False, 8)


async def test_a_recovery_code_stands_for_the_authenticator_once_and_a_change_keeps_the_key(kit: HubKit) -> None:
    await kit.add_doctor()
    page = await kit.login()
    query = select(accounts.c.key_public).where(accounts.c.doctor_id == "asha")
    before = bytes(await kit.hub.store.read(lambda c: c.execute(query).scalar_one()))
    secret, codes = await renewed(kit, page, PASSWORD, OWN)
    assert bytes(await kit.hub.store.read(lambda c: c.execute(query).scalar_one())) == before
    assert (await logged_in(kit, "asha", PASSWORD, codes[0]))[1]["status"] == 401, "the old password"
    kit.clock.pass_s(30)
    shouted = codes[0].lower().replace("-", " ")
    lost, found = await logged_in(kit, "asha", OWN, shouted)
    assert (found["status"], found["codes_left"]) == (200, 7)
    assert (await lost.call("GET", "/api/queue")).status == 200
    assert (await logged_in(kit, "asha", OWN, codes[0]))[1]["status"] == 401, "used up"
    kit.clock.pass_s(30)
    assert (await logged_in(kit, "asha", OWN, code_of(kit, secret)))[1]["status"] == 200
    actions = select(audit.c.action).where(audit.c.actor == "asha").order_by(audit.c.seq)
    told = await kit.hub.store.read(lambda c: c.execute(actions).scalars().all())
    assert [one for one in told if one != "login"] == ["login_renewed", "recovery_code_used"]
    _, fresh = await renewed(kit, lost, OWN, PASSWORD)
    assert (await logged_in(kit, "asha", PASSWORD, codes[1]))[1]["status"] == 401, "new codes end the old ones"
    kit.clock.pass_s(60)
    assert (await logged_in(kit, "asha", PASSWORD, fresh[0]))[1]["status"] == 200
    admin = await person(kit, Role.ADMINISTRATOR)
    assert (await said(admin, "POST", "/api/people/asha", {"type": "reset", "password": PASSWORD}))[0] == 200
    assert (await logged_in(kit, "asha", PASSWORD, fresh[1]))[1]["status"] == 401, "a reset ends them too"
