"""Proving a telephone number: codes, passes, guesses, probing, sessions."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from hub.home import codes
from hub.home.gateway import Account, DemoGateway, HttpGateway, Kind, message

from .home_kit import MOBILE, Telephone, messages, sent
from .kit import HubKit

OTHER = "5550999999"


@pytest.fixture
async def home(tmp_path: Path, database: str) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database, messages=StringIO())).start()
    yield kit
    await kit.stop()


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("9876543210", "9876543210"),
        ("+91 98765 43210", "9876543210"),
        ("098765-43210", "9876543210"),
        ("0091 9876543210", "9876543210"),
        ("5550123456", "5550123456"),
        ("1234567890", ""),
        ("98765", ""),
        ("98765432101", ""),
        ("+1 9876543210", ""),
    ],
)
def test_a_number_is_ten_digits_however_it_is_typed(typed: str, number: str) -> None:
    assert codes.number_of(typed) == number


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb:1:2:3", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_one_subscriber_has_one_count_whichever_of_his_addresses_he_uses(address: str, network: str) -> None:
    assert codes.network_of(address) == network


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=6, max_size=6))
def test_a_code_has_six_digits_and_a_pass_is_read_as_it_was_written(random: bytes, letters: bytes) -> None:
    assert len(codes.code_of(random)) == 6
    assert codes.code_of(random).isdigit()
    typed = f" h-014-{codes.pass_of(letters).lower()} "
    assert codes.token_and_pass(typed) == ("H-014", codes.pass_of(letters))


async def test_a_code_opens_a_session_once_and_lies_nowhere_in_the_database(home: HubKit) -> None:
    page = Telephone(home)
    code = await page.code()
    rows = await home.hub.store.read(lambda c: c.execute(text("SELECT * FROM home_codes")).all())
    assert rows
    assert not any(word in str(row) for row in rows for word in (code, MOBILE))
    assert (await page.prove(code)).status == 200
    family = await page.get("/home/api/session")
    assert family["mobile"] == "•••••••456"
    assert family["people"] == []
    again = await Telephone(home).prove(code)
    assert (again.status, (await again.json())["code"]) == (401, "wrong_pin")
    accounts = await home.hub.store.read(lambda c: c.execute(text("SELECT * FROM home_accounts")).all())
    assert len(accounts) == 1
    assert MOBILE not in str(accounts)


async def test_asking_and_failing_answer_alike_for_known_and_unknown_numbers(home: HubKit) -> None:
    await Telephone(home).login()
    replies = []
    for number in (MOBILE, OTHER, "1111111111"):
        page = Telephone(home, number)
        asked = await page.ask()
        wrong = await page.prove("000000")
        kept = {name: value for name, value in wrong.headers.items() if name not in ("Date", "Content-Length")}
        replies.append((asked.status, await asked.text(), wrong.status, await wrong.text(), kept))
    assert replies[0] == replies[1] == replies[2]
    assert {one["to"] for one in messages(home)} == {MOBILE, OTHER}


async def test_a_code_bears_five_guesses_and_the_right_one_after_them_is_wrong(home: HubKit) -> None:
    page = Telephone(home)
    code = await page.code()
    for guess in range(codes.CODE_GUESSES):
        wrong = f"{(int(code) + 1 + guess) % 1_000_000:06d}"
        assert (await page.prove(wrong)).status == 401
    assert (await page.prove(code)).status == 401
    assert (await page.prove(await page.code())).status == 200


async def test_guesses_that_come_all_at_once_are_counted_one_by_one(home: HubKit) -> None:
    page = Telephone(home)
    code = await page.code()
    wrong = [f"{(int(code) + 1 + guess) % 1_000_000:06d}" for guess in range(12)]
    replies = await asyncio.gather(*(Telephone(home).prove(one) for one in wrong))
    assert {reply.status for reply in replies} == {401}
    assert (await page.prove(code)).status == 401


async def test_a_code_is_over_after_five_minutes_and_a_new_one_ends_the_old_one(home: HubKit) -> None:
    page = Telephone(home)
    code = await page.code()
    home.clock.pass_s(codes.CODE_LIFE_S)
    assert (await page.prove(code)).status == 401
    first = await page.code()
    second = await page.code()
    assert (await page.prove(first)).status == (200 if first == second else 401)
    assert (await page.prove(second)).status == (401 if first == second else 200)


async def test_a_number_gets_five_codes_an_hour_from_one_address_and_no_more_messages(home: HubKit) -> None:
    page = Telephone(home)
    for _ in range(5):
        assert (await page.ask()).status == 200
    refused = await page.ask()
    assert (refused.status, (await refused.json())["code"]) == (429, "too_many_attempts")
    assert len(await sent(home, "code")) == 5
    assert (await Telephone(home, OTHER).ask()).status == 200
    home.clock.pass_s(3600)
    assert (await page.ask()).status == 200


async def test_forty_wrong_guesses_a_day_close_a_number_whatever_codes_it_asks_for(home: HubKit) -> None:
    page = Telephone(home)
    for number in range(40):
        if number % 5 == 0:
            home.clock.pass_s(1200)
            await page.ask()
        assert (await page.prove("abcdef")).status == 401
    last = await page.prove("abcdef")
    assert last.status == 429
    assert (await Telephone(home, OTHER).login()).csrf


async def test_a_session_ends_unused_and_at_logout_and_its_token_is_stored_hashed(home: HubKit) -> None:
    page = await Telephone(home).login()
    rows = await home.hub.store.read(lambda c: c.execute(text("SELECT * FROM home_sessions")).all())
    assert page.cookies["upk_home"] not in str(rows)
    assert (await page.call("GET", "/home/api/session")).status == 200
    home.clock.pass_s(12 * 3600 + 1)
    assert (await page.call("GET", "/home/api/session")).status == 401
    again = await Telephone(home).login()
    assert (await again.call("DELETE", "/home/api/session")).status == 204
    assert (await again.call("GET", "/home/api/session")).status == 401


async def test_what_changes_something_needs_the_csrf_value_and_json(home: HubKit) -> None:
    page = await Telephone(home).login()
    good, page.csrf = page.csrf, "wrong"
    body = {"centre": "", "language": "en"}
    refused = await page.call("PUT", "/home/api/choice", body)
    assert (refused.status, (await refused.json())["code"]) == (403, "csrf")
    page.csrf = good
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await page.call("POST", "/home/api/code", raw=b"mobile=5550123456", headers=form)).status == 415
    assert (await page.call("PUT", "/home/api/choice", body)).status == 200
    reply = await page.call("GET", "/home/api/opening")
    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
    login = await Telephone(home, OTHER).prove(await Telephone(home, OTHER).code())
    morsel = login.cookies["upk_home"]
    assert (morsel["httponly"], morsel["samesite"]) == (True, "Strict")


async def test_doctors_and_patients_cannot_use_one_anothers_cookies(home: HubKit) -> None:
    await home.add_doctor()
    doctor = await home.login()
    patient = await Telephone(home).login()
    doctor.cookies["upk_home"] = doctor.cookies["upk_hub"]
    patient.cookies["upk_hub"] = patient.cookies["upk_home"]
    assert (await doctor.call("GET", "/home/api/session")).status == 401
    assert (await patient.call("GET", "/api/queue")).status == 401


async def test_todays_token_with_its_letters_is_a_log_in_and_ends_with_the_day(home: HubKit) -> None:
    page = await Telephone(home).login()
    visit_id = await page.waiting()
    seen = await page.seen(visit_id)
    typed = f"{seen['token']}-{seen['day_pass']}"
    assert typed in (await sent(home, "token"))[0]
    other = Telephone(home)
    assert (await other.prove(typed.lower())).status == 200
    assert (await other.seen(visit_id))["token"] == seen["token"]
    assert (await Telephone(home, OTHER).prove(typed)).status == 401
    wrong = Telephone(home)
    for _ in range(codes.PASS_GUESSES):
        assert (await wrong.prove(f"{seen['token']}-000000")).status == 401
    assert (await wrong.prove(typed)).status == 401, "ten wrong ones close the token's own log-in"
    home.clock.pass_s(24 * 3600)
    assert (await Telephone(home).prove(typed)).status == 401


async def test_a_real_gateway_never_sends_to_a_synthetic_number_and_no_message_shows_in_a_log() -> None:
    gateway = HttpGateway(Account("http://127.0.0.1:9"))
    assert await gateway.send(message("5550123456", Kind.CODE, "hi", code="123456")) is False
    one = message("9876543210", Kind.CODE, "hi", code="123456")
    assert await gateway.send(one) is False  # nobody listens there
    assert "123456" not in repr(one)
    assert "9876543210" not in repr(one)
    await gateway.close()
    out = StringIO()
    assert await DemoGateway(out).send(one)
    assert "123456" in out.getvalue()
