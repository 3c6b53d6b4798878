"""Proving a telephone number: codes, passes, guesses, probing, sessions."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from edge.web.refusals import TooManyAttempts, WrongPin
from hub.home import codes, rows
from hub.home.gateway import Account, DemoGateway, HttpGateway, Kind, Message, hand_over, message
from hub.store.dialect import Row, add_row
from hub.store.engine import Store
from hub.store.schema_home import home_counts
from tests.kits.postgres import Postgres

from .home_kit import MOBILE, Telephone, code_in, messages, sent
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
    again = await page.prove(code)
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
        assert set(asked.cookies) == {"upk_home_device"}
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
    replies = await asyncio.gather(*(page.prove(one) for one in wrong))
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


async def test_a_code_is_good_at_the_device_that_asked_for_it_and_nowhere_else(home: HubKit) -> None:
    page, stranger = Telephone(home), Telephone(home)
    code = await page.code()
    assert (await stranger.prove(code)).status == 401, "it has asked for none"
    assert (await Telephone(home).ask()).status == 200
    for _ in range(30):
        assert (await stranger.prove("000000")).status == 401
    assert (await page.prove(code)).status == 200, "what a stranger guesses and asks takes nothing from the owner"


async def test_beyond_six_codes_an_hour_one_long_code_is_sent_once_and_is_good_for_whoever_asks(home: HubKit) -> None:
    for _ in range(6):
        assert (await Telephone(home).ask()).status == 200
    first, second = Telephone(home), Telephone(home)
    replies = [await (await page.ask()).json() for page in (first, second)]
    assert [(one["digits"], one["sent"]) for one in replies] == [(10, True), (10, False)]
    texts = await sent(home, "code")
    assert len(texts) == 7
    code = code_in(texts[-1])
    assert len(code) == 10
    assert "30" in texts[-1]
    for _ in range(codes.CODE_GUESSES):
        assert (await first.prove("0000000000")).status == 401
    assert (await first.prove(code)).status == 401
    assert (await second.prove(code)).status == 200
    assert (await (await Telephone(home, OTHER).ask()).json())["digits"] == 6


async def test_a_stranger_who_asks_and_guesses_all_day_never_keeps_the_owner_out(home: HubKit) -> None:
    known = await Telephone(home).login()
    desk = home.hub.home.desk if home.hub.home is not None else None
    assert desk is not None
    for number in range(24 * 6):  # every ten minutes, each time from another device and address
        device, address = f"{number:032x}", f"2001:db8:0:{number:x}::/64"
        await desk.ask_code(MOBILE, device, address, "hi")
        for _ in range(codes.CODE_GUESSES):
            with pytest.raises(WrongPin):
                await desk.login(MOBILE, "abcdef", device, address, "hi")
        if number % 24 == 23:
            newcomer = Telephone(home)
            assert (await newcomer.ask()).status == 200
            newest = code_in((await sent(home, "code"))[-1])
            assert (await newcomer.prove(newest)).status == 200, "a telephone that the number does not know"
            assert (await known.login()).csrf, "and one that it knows, by a code of its own"
        home.clock.pass_s(600)
    assert len(await sent(home, "code")) < 2 * 20 + 48 + 13, "two days of the calendar, the shared ones, the owner's"


async def test_codes_become_longer_while_many_wait_to_be_proved_and_short_again(home: HubKit) -> None:
    desk = home.hub.home.desk if home.hub.home is not None else None
    assert desk is not None
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        return (await desk.ask_code(f"5550{asked:06d}", f"{asked:032x}", "a", "hi")).digits

    lengths = [await ask() for _ in range(codes.SHORT_UNTIL + 1)]
    assert lengths == [6] * codes.SHORT_UNTIL + [8]
    home.clock.pass_s(3600)
    assert await ask() == 6
    assert codes.digits_of(codes.MIDDLE_UNTIL) == 10
    hits = codes.SHORT_UNTIL * 5 / 10**6 + codes.MIDDLE_UNTIL * 5 / 10**8 + 30_000 * 5 / 10**10
    assert hits < 0.002, "all guesses of an hour at all numbers"


async def test_thousands_behind_one_address_log_in_within_an_hour(home: HubKit) -> None:
    desk = home.hub.home.desk if home.hub.home is not None else None
    assert desk is not None
    for number in range(400):
        mobile, device = f"5550{number:06d}", f"{number + 1:032x}"
        await desk.ask_code(mobile, device, "198.51.100.1", "hi")
        code = code_in((await sent(home, "code", mobile))[-1])
        assert len(code) == 6, "what is proved waits for nobody"
        await desk.login(mobile, code, device, "198.51.100.1", "hi")


async def test_a_hub_that_is_pressed_bounds_an_address_by_what_it_has_proved_and_serves_known_devices(
    home: HubKit,
) -> None:
    desk = home.hub.home.desk if home.hub.home is not None else None
    assert desk is not None
    known = await Telephone(home).login()
    key = rows.pepper(home.hub.keys)

    async def spent(limit: codes.Limit, times: int) -> None:
        counted, ends_ms = rows.window_of(limit, home.clock.ms)
        row: Row = {"key": counted, "count": times, "ends_ms": ends_ms}
        await home.hub.store.write(lambda connection: add_row(connection, home_counts, row, "count"))

    await spent(codes.limit_of_all(key), codes.PRESSED_AT)
    await spent(codes.limit_at(key, "busy", 0, 0), 302)
    with pytest.raises(TooManyAttempts):
        await desk.ask_code(OTHER, "", "busy", "hi")
    assert (await desk.ask_code(OTHER, "", "quiet", "hi")).digits == 8
    await spent(codes.limit_of_proofs(key, "busy"), 2)
    assert (await desk.ask_code(OTHER, "", "busy", "hi")).digits == 8
    await spent(codes.limit_of_all(key), 27_000)
    with pytest.raises(TooManyAttempts):
        await desk.ask_code(OTHER, "", "quiet", "hi")
    assert (await known.login()).csrf


async def test_wrong_tokens_are_bounded_for_an_address_and_keep_nobody_waiting_who_asked_for_a_code(
    home: HubKit,
) -> None:
    page, stranger = Telephone(home), Telephone(home, OTHER)
    for _ in range(120):
        assert (await stranger.prove("H-001-000000")).status == 401
    refused = await stranger.prove("H-001-000000")
    assert (refused.status, (await refused.json())["code"]) == (429, "too_many_attempts")
    assert (await page.login()).csrf


def test_what_two_processes_count_at_the_same_time_is_counted_twice(postgres: Postgres, migrated: str) -> None:
    url = postgres.database(migrated)
    here, there = Store(url), Store(url)
    limit = codes.Limit(b"one", codes.HOUR_MS, 1000)
    try:
        waiting = [
            store.write_later(lambda connection: rows.spend(connection, (limit,), 0))
            for _ in range(100)
            for store in (here, there)
        ]
        assert {one.result(60) for one in waiting} == {0}
        assert here.read_now(lambda connection: rows.count_of(connection, limit, 0)) == 200
    finally:
        here.close()
        there.close()


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
    other = Telephone(home, OTHER)
    login = await other.prove(await other.code())
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


class Deaf:
    """A gateway that takes nothing before it was asked so often."""

    demo, push_contact = True, ""

    def __init__(self, takes_at: int) -> None:
        self.asked, self._takes_at = 0, takes_at
        self.was_asked = asyncio.Event()

    async def send(self, one: Message) -> bool:
        self.asked += 1
        self.was_asked.set()
        return self.asked >= self._takes_at

    async def close(self) -> None:
        return


async def test_a_message_that_the_gateway_did_not_take_goes_to_it_again_until_the_hub_ends() -> None:
    one, closing = message("9876543210", Kind.ANSWERED, "hi", n="4"), asyncio.Event()
    late, deaf = Deaf(3), Deaf(100)
    assert await hand_over(late, one, (0.01, 0.01, 60), closing) and late.asked == 3
    assert not await hand_over(deaf, one, (0.01, 0.01), closing) and deaf.asked == 3
    deaf.was_asked.clear()
    waiting = asyncio.create_task(hand_over(deaf, one, (3600.0,), closing))
    await deaf.was_asked.wait()
    closing.set()
    assert not await waiting and deaf.asked == 4


async def test_a_real_gateway_never_sends_to_a_synthetic_number_and_no_message_shows_in_a_log() -> None:
    gateway = HttpGateway(Account("http://127.0.0.1:9"))
    assert await gateway.send(message("5550123456", Kind.CODE, "hi", code="123456", minutes="5")) is False
    one = message("9876543210", Kind.CODE, "hi", code="123456", minutes="5")
    assert await gateway.send(one) is False  # nobody listens there
    assert "123456" not in repr(one)
    assert "9876543210" not in repr(one)
    await gateway.close()
    out = StringIO()
    assert await DemoGateway(out).send(one)
    assert "123456" in out.getvalue()
