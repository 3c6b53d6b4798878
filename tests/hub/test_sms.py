"""Emergencies by SMS, node and hub each with a modem on the simulated network, and no other link at all."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec import Struct, structs
from sqlalchemy import Connection

from edge.model.errors import NotFound
from edge.model.fold import Visit
from edge.node import sms_desk
from edge.node.app import Node
from edge.node.outbox import OutboxDb
from edge.node.sms_desk import SmsOptions as NodeSmsOptions
from edge.node.sms_desk import is_due
from edge.sync import bundle, seal, sms
from edge.sync.bearers.sms_store import GoneSms, SmsStore
from edge.sync.link import BundleArrived, BundleRef
from edge.sync.sms_copy import early_copy, visit_prefix
from edge.sync.sms_pdu import Deliver, part_of
from hub.app import build_app
from hub.directory import Site
from hub.keys import Keyring
from hub.receive import Received, receive_bundle
from hub.sms import SmsDesk, SmsOptions
from tests.kits.sms import Network, PtyModems, SimModem
from tests.node.kit import COMPLAINT, NAME, Provisioned, Tablet, contents, provisioned

from .kit import DRAFT, HubKit, Page, new_id, registered, visit_events

NODE_SIM, HUB_SIM = "+919000000001", "+919000000002"


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


class Stage(Struct):
    """Everybody and everything of one test."""

    network: Network
    setup: Provisioned
    node: Node
    tablet: Tablet
    kit: HubKit
    desk: SmsDesk
    doctor: Page


@asynccontextmanager
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    network = Network(delay_s=0.05)
    for number in (NODE_SIM, HUB_SIM):
        SimModem(network, number)
    setup = await provisioned(tmp_path / "node")
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub")
    async with PtyModems(network, tmp_path) as ptys:
        kit.hub.directory.put(setup.record, Site(setup.record.node_id.hex(), "BR-RMP", "Rampur", "Patna", True))
        desk = SmsDesk(kit.hub, SmsOptions(ptys.plug(HUB_SIM)))
        await kit.hub.start()
        await desk.start()
        kit.client = TestClient(TestServer(build_app(kit.hub, {}, {}, desk)))
        await kit.client.start_server()
        await kit.add_doctor()
        node = await asyncio.to_thread(Node, setup.folder, setup.config, secrets.token_bytes(8), "test")
        await node.start()
        await node.fit_sms(setup.folder, NodeSmsOptions(ptys.plug(NODE_SIM), HUB_SIM, after_s=0.2))
        server = TestServer(await node.web_app())
        await server.start_server(access_log=None)
        tablet = Tablet(TestClient(server))
        yield Stage(network, setup, node, tablet, kit, desk, await kit.login())
        await tablet.http.close()
        await node.stop()
        await desk.stop()
        await kit.stop()


async def make_red(stage: Stage) -> str:
    await stage.tablet.login(stage.setup)
    _, visit = await stage.tablet.register()
    await stage.tablet.fill(visit)
    measured = {"temp_c": 38.2, "hr": 141, "rr": 34, "spo2": 81, "sbp": 84, "dbp": 52}
    readings = [{"vital": vital, "value": value, "confirmed": True} for vital, value in measured.items()]
    reply = await stage.tablet.say(
        "record_vitals", visit_id=visit, vitals={"readings": readings, "avpu": "V", "oxygen": False}
    )
    assert isinstance(reply["visit"], dict)
    return visit


async def look_twice(stage: Stage) -> None:
    """The node sees the visit, waits for ``after_s``, and tells."""
    assert stage.node.sms is not None
    await until(lambda: stage.node.sms is not None and stage.node.sms.health.up and stage.desk.health.up)
    now = asyncio.get_running_loop().time()
    await stage.node.sms.look(now)
    await stage.node.sms.look(now + 1.0)


async def lines_of(stage: Stage, visit: str) -> list[dict[str, object]]:
    found = (await stage.tablet.get(f"/api/visits/{visit}/sms"))["items"]
    assert isinstance(found, list)
    return found


async def test_an_emergency_without_any_link_reaches_the_doctor_and_the_answer_comes_back(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        visit = await make_red(stage)
        await look_twice(stage)
        items: list[dict[str, object]] = []
        end = time.monotonic() + 20
        while not items and time.monotonic() < end:
            await asyncio.sleep(0.1)
            items = await (await stage.doctor.call("GET", "/api/early")).json()
        (item,) = items
        copy = item["copy"]
        assert isinstance(copy, dict)
        assert (copy["emergency"], copy["colour"], copy["age"], copy["sex"]) == (True, "red", "34 years", "female")
        assert (copy["vitals"]["spo2"], copy["vitals"]["temp_c"], copy["avpu"]) == (81, 38.2, "V")
        assert (item["site_name"], item["early_id"]) == ("Rampur", visit[:8])
        assert NAME not in str(item)
        assert (await stage.doctor.get("/api/session"))["sms_fitted"] is True

        path = f"/api/early/{item['node_id']}/{item['early_id']}/answer"
        reply = await stage.doctor.call("POST", path, {"advice": "none"})
        assert reply.status == 400
        reply = await stage.doctor.call("POST", path, {"advice": "call_108", "text": "Keep her flat, oxygen if any."})
        assert reply.status == 200, await reply.text()
        lines: list[dict[str, object]] = []
        while len(lines) < 2 or lines[0]["state"] != "kept":
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
            lines = await lines_of(stage, visit)
        page = await stage.tablet.get(f"/api/visits/{visit}")
        sync = page["sync"]
        assert isinstance(sync, list)
        assert [one["state"] for one in sync if one["item"] == "sms"] == ["hub_has_it"]
        assert page["line"]["state"] == "waiting"  # type: ignore[index]
        (row,) = (await stage.tablet.get("/api/queue"))["items"]  # type: ignore[misc]
        assert (row["sms"], row["sync"]) == ("hub_has_it", "waiting")  # type: ignore[has-type]
        assert [line["way"] for line in lines] == ["sent", "came"]
        assert (lines[1]["advice"], lines[1]["doctor"]) == ("call_108", "Dr Asha Rao")
        assert lines[1]["text"] == "Keep her flat, oxygen if any."
        while (await stage.desk.early())[0].answers[0].state != "kept":
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        told = (await stage.tablet.get("/api/sms"))["last_day"]
        await look_twice(stage)
        assert (await stage.tablet.get("/api/sms"))["last_day"] == told, "told once is enough"
        for folder in (stage.setup.folder, stage.kit.settings.data):
            kept = contents(folder)
            assert b"oxygen if any" not in kept
            assert COMPLAINT.encode() not in kept


async def test_an_emergency_that_cannot_be_told_silences_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path) as stage:
        first = await make_red(stage)
        second = await make_red(stage)
        made: Callable[..., sms.EarlyCopy] = early_copy

        def fail(visit: Visit, *given: object, **named: object) -> sms.EarlyCopy:
            if visit.visit_id == first:
                raise ValueError("nobody thought of this one")
            return made(visit, *given, **named)

        monkeypatch.setattr(sms_desk, "early_copy", fail)
        await look_twice(stage)
        await _until_early(stage)
        assert [bool(await lines_of(stage, one)) for one in (first, second)] == [False, True]


async def test_when_the_entries_come_the_early_copy_gives_way_and_nothing_is_doubled(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        visit = await make_red(stage)
        await look_twice(stage)
        await _until_early(stage)
        hub, setup = stage.kit.hub, stage.setup
        assert not await hub.desk.queue()
        for ref in await stage.node.clinic.store.outbox(_waiting):
            opened = seal.open_opening(ref.opening, setup.hub, setup.record)
            payload = bundle.unpack(opened.open_bundle(ref.sealed))
            arrived = BundleArrived(opened.node_id, ref.bundle_id, opened.grade, payload, ref.sealed)
            await hub.store.write(_taker(arrived, setup.record, hub.keys, stage.kit.clock.ms))
        assert await stage.desk.early() == []
        (place,) = await hub.desk.queue()
        assert place.owned.visit.visit_id == visit
        found = await stage.desk.of_visit(setup.record.node_id.hex(), visit)
        assert found is not None
        assert found.visit_id == visit


def _taker(
    arrived: BundleArrived, record: seal.NodeRecord, keys: Keyring, now_ms: int
) -> Callable[[Connection], Received]:
    return lambda connection: receive_bundle(connection, arrived, record, keys, now_ms)


async def _until_early(stage: Stage) -> None:
    end = time.monotonic() + 20
    while not await stage.desk.early():
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def test_a_replayed_a_forged_and_a_revoked_nodes_sms_change_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        setup = stage.setup
        sealer = sms.SmsSealer(setup.record.psk, setup.record.node_id, sms.Way.UP, b"boot5")
        copy = sms.EarlyCopy(b"12345", True, "T-1", 9, 1, 0, 3)
        _, message = sealer.seal(sms.encode(copy))
        for _ in range(3):
            await stage.desk.keep(NODE_SIM, message)
        (first,) = await stage.desk.early()
        assert first.copy.age == "9 weeks"
        _, later = sealer.seal(sms.encode(structs.replace(copy, token="T-2")))
        await stage.desk.keep(NODE_SIM, later)
        await stage.desk.keep(NODE_SIM, message)
        (newest,) = await stage.desk.early()
        assert newest.copy.token == "T-2", "an old one that comes again does not hide the news"
        forged = bytearray(message)
        forged[40] ^= 1
        for junk in (bytes(forged), b"", b"\x01" * 133, sealer.seal(b"\xc1junk")[1]):
            await stage.desk.keep(NODE_SIM, junk)
        stage.kit.hub.directory.put(
            structs.replace(setup.record, revoked=True), stage.kit.hub.directory.site(setup.record.node_id.hex())
        )
        _, last = sealer.seal(sms.encode(structs.replace(copy, token="T-3")))
        await stage.desk.keep(NODE_SIM, last)
        assert [item.copy.token for item in await stage.desk.early()] == ["T-2"]
        doctor = await stage.kit.hub.desk.doctor("asha")
        with pytest.raises(NotFound):
            await stage.desk.answer("00" * 8, newest.early_id, doctor, sms.Advice.SEEN, "")


async def test_both_apis_describe_the_sms_routes_when_there_is_a_modem(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        hub, node = await stage.doctor.get("/openapi.json"), await stage.tablet.get("/openapi.json")
        assert {"/api/sms", "/api/early", "/api/early/{node_id}/{early_id}/answer"} <= set(hub["paths"])  # type: ignore[call-overload]
        assert {"/api/sms", "/api/visits/{visit_id}/sms"} <= set(node["paths"])  # type: ignore[call-overload]


async def test_a_summary_leaves_when_a_person_asks_and_a_locked_node_says_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        assert stage.node.sms is not None
        await stage.node.sms.look(0.0)
        status, _ = await stage.tablet.call("GET", "/api/sms")
        assert status == 401
        await stage.tablet.login(stage.setup)
        _, visit = await stage.tablet.register()
        await stage.tablet.fill(visit)
        status, _ = await stage.tablet.call("POST", f"/api/visits/{visit}/sms", {})
        assert status == 200
        await _until_early(stage)
        (item,) = await stage.desk.early()
        assert not item.copy.emergency
        assert item.copy.complaints == ("fever 3 day",)
        assert item.copy.note == COMPLAINT


async def test_a_prescription_of_a_revoked_node_keeps_no_other_nodes_notice_back(kit: HubKit, tmp_path: Path) -> None:
    await kit.add_doctor()
    desk = SmsDesk(kit.hub, SmsOptions(str(tmp_path / "no-modem")))
    await desk.start()
    try:
        page, told = await kit.login(), []
        for code in ("UP01", "UP02"):
            node = await kit.enrol(code)
            patient_id, visit_id = new_id(), new_id()
            await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
            record = kit.hub.directory.by_id(bytes.fromhex(node.node_id))
            assert record is not None
            sealer = sms.SmsSealer(record.psk, record.node_id, sms.Way.UP, b"boot5")
            copy = sms.EarlyCopy(visit_prefix(visit_id), True, code, 34, 0, 1, 3)
            await desk.keep(NODE_SIM, sealer.seal(sms.encode(copy))[1])
            body = {"command_id": new_id(), "draft": DRAFT}
            assert (await page.call("POST", f"/api/visits/{visit_id}/sign", body)).status == 200
            told.append((record, visit_id))
            kit.clock.pass_s(1)
        revoked, other = told
        site = kit.hub.directory.site(revoked[0].node_id.hex())
        kit.hub.directory.put(structs.replace(revoked[0], revoked=True), site)
        kit.clock.pass_s(200)
        await desk.look()
        made = await desk._store.gone(visit_prefix(other[1]))
        assert [gone.kind for gone in made] == [17]
        assert await desk._store.gone(visit_prefix(revoked[1])) == []
    finally:
        await desk.stop()


async def test_a_machine_that_takes_a_nodes_place_can_read_what_the_hub_says(kit: HubKit, tmp_path: Path) -> None:
    desk = SmsDesk(kit.hub, SmsOptions(str(tmp_path / "no-modem")))
    await desk.start()
    try:
        node = await kit.enrol()
        node_id = bytes.fromhex(node.node_id)
        record = kit.hub.directory.by_id(node_id)
        assert record is not None
        answer = sms.Answer(bytes(sms.VISIT_BYTES), sms.Advice.CALL_108)
        for psk in (record.psk, secrets.token_bytes(32)):
            kit.hub.directory.put(structs.replace(record, psk=psk), kit.hub.directory.site(node.node_id))
            await desk._send(node_id, NODE_SIM, answer, 16, answer.visit, emergency=True)
            submit = list(desk._bearer._mailer._leaves.values())[-1].submit
            part = part_of(Deliver(NODE_SIM, submit.user_data, True, submit.dcs, 0))
            assert part is not None
            assert sms.decode(sms.open_sms(psk, sms.Way.DOWN, part.data).content, sms.Way.DOWN) == answer
    finally:
        await desk.stop()


async def test_what_becomes_of_one_nodes_sms_is_not_said_of_anothers(kit: HubKit, tmp_path: Path) -> None:
    desk = SmsDesk(kit.hub, SmsOptions(str(tmp_path / "no-modem")))
    await desk.start()
    try:
        nodes = [bytes.fromhex((await kit.enrol(code)).node_id) for code in ("UP01", "UP02")]
        for number, node_id in enumerate(nodes):
            answer = sms.Answer(bytes((number,)) * sms.VISIT_BYTES, sms.Advice.CALL_108)
            await desk._send(node_id, NODE_SIM, answer, 16, answer.visit, emergency=True)
        first, second = desk._sent._names.values()
        await desk._store.became(first, "delivered")
        states = [(await desk._store.gone(bytes((number,)) * sms.VISIT_BYTES))[0].state for number in (0, 1)]
        assert states == ["delivered", "waiting"]
        assert first != second
    finally:
        await desk.stop()


async def test_a_message_that_a_stranger_plays_again_costs_no_receipt_to_his_number(
    kit: HubKit, tmp_path: Path
) -> None:
    desk = SmsDesk(kit.hub, SmsOptions(str(tmp_path / "no-modem")))
    await desk.start()
    try:
        record = kit.hub.directory.by_id(bytes.fromhex((await kit.enrol()).node_id))
        assert record is not None
        copy = sms.EarlyCopy(bytes(sms.VISIT_BYTES), True, "T-1", 34, 0, 1, 3)
        _, message = sms.SmsSealer(record.psk, record.node_id, sms.Way.UP, b"boot5").seal(sms.encode(copy))
        for number in (NODE_SIM, "+919999999999", NODE_SIM):
            await desk.keep(number, message)
        await asyncio.gather(*desk._at_work)

        def told() -> list[str]:
            return [leaf.submit.number for leaf in desk._bearer._mailer._leaves.values()]

        assert told() == [NODE_SIM], "the same within minutes needs no second one"
        for receipts in (2, 3, 3, 3):
            kit.clock.pass_s(601)
            for _ in range(4):
                await desk.keep(NODE_SIM, message)
            await asyncio.gather(*desk._at_work)
            assert told() == [NODE_SIM] * receipts
    finally:
        await desk.stop()


def test_a_visit_is_told_again_only_when_nobody_has_it_or_there_is_news() -> None:
    def gone(state: str, at_ms: int = 0) -> GoneSms:
        return GoneSms(b"", bytes([at_ms % 250]), 1, b"", b"digest", b"", at_ms, state)

    hour_ms = 3_600_000
    assert is_due([], b"digest", 0)
    assert not is_due([gone("waiting")], b"digest", hour_ms)
    assert not is_due([gone("kept")], b"digest", hour_ms)
    assert is_due([gone("kept")], b"news", hour_ms)
    assert not is_due([gone("kept")], b"news", 60_000)
    assert is_due([gone("left")], b"digest", hour_ms)
    assert is_due([gone("cms_38")], b"digest", 130_000)
    assert is_due([gone("sms_cap", at) for at in range(10)], b"digest", hour_ms)
    assert not is_due([gone("left", at) for at in range(4)], b"digest", hour_ms)


async def test_the_store_keeps_names_and_spendings_over_a_restart(tmp_path: Path) -> None:
    store = SmsStore(tmp_path / "sms.db")
    await store.open()
    store.spend(1000)
    await store.made(GoneSms(b"n", b"name", 1, b"visit", b"d", b"", 5))
    await store.close()
    again = SmsStore(tmp_path / "sms.db")
    await again.open()
    assert await again.spent(2000) == [1000]
    assert await again.spent(2000 + 86_400_000) == []
    await again.unsent()
    await again.became(b"name", "delivered")
    (gone,) = await again.gone(b"visit")
    assert gone.state == "delivered"
    await again.close()


def _waiting(outbox: OutboxDb) -> list[BundleRef]:
    found = (outbox.find(name) for name, _ in outbox.waiting())
    return [one[0] for one in found if one is not None]
