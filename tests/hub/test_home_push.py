"""Being told before the turn by web push: what the service sees, what the browser shows, and when an SMS goes out."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, text

from edge.model.errors import BadInput
from hub import views
from hub.home import push, pushes, rows
from hub.home.gateway import Kind, Message
from hub.home.pushes import BROWSERS_MAX, SEEN_WITHIN_MS
from tests.kits.push_service import PushService, octets
from tests.kits.push_service import text as base64url

from .home_kit import Telephone, always_open, sent, sent_soon
from .kit import HubKit, new_id
from .test_home_visits import doctor
from .test_rota_desk import ready


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    started = await PushService().start()
    yield started
    await started.close()


@pytest.fixture
async def home(tmp_path: Path, database: str, service: PushService) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database, messages=StringIO())).start()
    await always_open(kit)
    assert kit.hub.home is not None
    kit.hub.home.desk.pusher = push.Pusher((service.origin,))
    yield kit
    await kit.stop()


async def subscribed(patient: Telephone, service: PushService, name: str) -> dict[str, object]:
    service.key = octets(str((await patient.get("/home/api/push"))["key"]))
    body = service.browser(name)
    reply = await patient.call("PUT", "/home/api/push", body)
    assert reply.status == 204, await reply.text()
    return body


async def turn(home: HubKit) -> tuple[Telephone, str]:
    """A patient who waits, and a doctor who is about to sit down."""
    patient = await Telephone(home).login()
    return patient, await patient.waiting()


async def shown(home: HubKit, service: PushService, name: str) -> list[dict[str, str]]:
    assert home.hub.home is not None
    await home.hub.home.calls.look()
    await sent(home, "turn_next")
    return service.browsers[name].shown


def test_what_is_encrypted_is_byte_for_byte_what_rfc_8291_has_in_its_appendix() -> None:
    def key(number: str) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(octets(number), "big"), ec.SECP256R1())

    theirs = key("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    to = push.Subscription("", push.point_of(theirs.public_key()), octets("BTBZMqHH6r4Tts7J_aSIgg"))
    made = push.encrypt(
        b"When I grow up, I want to be a watermelon",
        to,
        key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        octets("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert base64url(made) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com@10.0.0.1/x",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evilnotify.windows.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://fcm.googleapis.com:x/",
        "file:///etc/passwd",
        "https:fcm.googleapis.com",
        "https://fcm.googleapis.com\\@10.0.0.1/",
    ],
)
def test_a_page_cannot_send_the_hub_to_an_address_of_its_choice(endpoint: str) -> None:
    keys = base64url(push.point_of(ec.generate_private_key(ec.SECP256R1()).public_key())), base64url(bytes(16))
    with pytest.raises(BadInput):
        push.subscription_of(endpoint, *keys)
    for good in ("https://fcm.googleapis.com/fcm/send/x", "https://wns2-pn1p.notify.windows.com/w/?token=x"):
        assert push.subscription_of(good, *keys).endpoint == good


async def test_before_the_turn_the_browser_is_told_and_no_sms_goes_out_once_it_has_shown_it(
    home: HubKit, service: PushService
) -> None:
    page = await doctor(home)
    patient, visit_id = await turn(home)
    await subscribed(patient, service, "hers")
    await ready(home, page)
    await home.hub.rota.look()
    (told,) = await shown(home, service, "hers")
    seen = await patient.seen(visit_id)
    assert str(seen["token"]) in told["text"]
    assert not any(word in str(told) for word in ("सीता", "fever", str(seen["day_pass"]), visit_id))
    assert service.strangers == 0
    assert (await Telephone(home).call("POST", "/home/api/push/seen", {"word": told["word"]})).status == 204
    home.clock.ms += SEEN_WITHIN_MS + 1
    await shown(home, service, "hers")
    assert await sent(home, "turn_next") == []
    rows = await home.hub.store.read(lambda c: c.execute(text("SELECT * FROM home_pushes")).all())
    assert rows
    assert service.origin.encode() not in b"".join(part for part in rows[0] if isinstance(part, bytes))


async def test_what_no_browser_shows_within_half_a_minute_is_told_by_sms_once_also_after_a_restart(
    home: HubKit, service: PushService
) -> None:
    page = await doctor(home)
    patient, _ = await turn(home)
    await subscribed(patient, service, "off")
    await ready(home, page)
    await home.hub.rota.look()
    assert len(await shown(home, service, "off")) == 1
    assert await sent(home, "turn_next") == []
    again = await home.restart()
    try:
        again.clock.ms += SEEN_WITHIN_MS + 1
        assert len(await sent_soon(again, "turn_next")) == 1
        await shown(again, service, "off")
        assert len(await sent(again, "turn_next")) == 1
    finally:
        await again.stop()


@pytest.mark.parametrize(("status", "left"), [(410, 0), (503, 1)])
async def test_a_service_that_takes_nothing_leads_to_an_sms_at_once(
    home: HubKit, service: PushService, status: int, left: int
) -> None:
    page = await doctor(home)
    patient, _ = await turn(home)
    await subscribed(patient, service, "hers")
    service.browsers["hers"].status = status
    await ready(home, page)
    await home.hub.rota.look()
    assert len(await sent_soon(home, "turn_next")) == 1
    rows = await home.hub.store.read(lambda c: c.execute(text("SELECT count(*) FROM home_pushes")).scalar())
    assert rows == left, "a browser that is gone is forgotten"


class Silent:
    """A gateway that is on its way for ever: what it had is gone with the process."""

    demo, push_contact = True, ""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, one: Message) -> bool:
        self.asked += 1
        await asyncio.Event().wait()
        return True

    async def close(self) -> None:
        return


async def test_a_hub_that_is_killed_while_an_sms_goes_out_sends_it_when_it_is_back(home: HubKit) -> None:
    _, visit_id = await turn(home)

    def pushed(connection: Connection) -> None:
        owned = views.load_visit(connection, visit_id)
        assert owned is not None
        (account,) = rows.accounts_of_patient(connection, owned.visit.patient_id)
        pushes.note(connection, account, visit_id, Kind.TURN_NEXT.value, home.clock.ms)

    await home.hub.store.write(pushed)
    assert home.hub.home is not None
    desk, gateway, silent = home.hub.home.desk, home.hub.home.desk.gateway, Silent()
    desk.gateway = silent
    home.clock.ms += SEEN_WITHIN_MS + 1
    await desk.tell_unseen()
    await desk.tell_unseen()
    await asyncio.sleep(0)
    assert silent.asked == 1, "claimed: nobody else sends it meanwhile"
    for sending in tuple(desk._sending):
        sending.cancel()
    await desk.sent()
    desk.gateway = gateway
    home.clock.ms += SEEN_WITHIN_MS + 1
    await desk.tell_unseen()
    assert len(await sent_soon(home, "turn_next")) == 1
    await desk.sent()
    assert not await home.hub.store.read(lambda connection: pushes.is_open(connection))


async def test_a_word_that_was_never_given_writes_nothing(home: HubKit, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[str] = []

    def settle(connection: Connection, word: str) -> bool:
        settled.append(word)
        return False

    monkeypatch.setattr(pushes, "settle", settle)
    assert (await Telephone(home).call("POST", "/home/api/push/seen", {"word": "0" * 32})).status == 204
    assert settled == []


async def test_all_messages_have_one_size_and_a_browser_that_is_handed_on_hears_of_the_last_account_only(
    home: HubKit, service: PushService
) -> None:
    page = await doctor(home)
    patient, visit_id = await turn(home)
    body = await subscribed(patient, service, "shared")
    await ready(home, page)
    await home.hub.rota.look()
    await shown(home, service, "shared")
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    assert home.hub.home is not None
    await home.hub.home.desk.tell(visit_id, Kind.ANSWERED, new_id())
    await sent(home, "answered")
    assert len(service.browsers["shared"].shown) == 2
    assert len(set(service.browsers["shared"].sizes)) == 1
    other = await Telephone(home, "5550999999").login()
    assert (await other.call("PUT", "/home/api/push", {**body, "on": False})).status == 204, "takes nothing of hers"
    assert (await other.call("PUT", "/home/api/push", body)).status == 204
    await home.hub.home.desk.tell(visit_id, Kind.MISSED, new_id())
    assert len(await sent(home, "missed")) == 1
    assert len(service.browsers["shared"].shown) == 2
    for number in range(BROWSERS_MAX + 3):
        await subscribed(patient, service, f"b{number}")
    rows = await home.hub.store.read(lambda c: c.execute(text("SELECT count(*) FROM home_pushes")).scalar())
    assert rows == BROWSERS_MAX + 1
    assert (await Telephone(home).call("PUT", "/home/api/push", body)).status == 401
