"""Two processes of one hub: the node speaks with one of them, the doctor's page with the other."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from edge.media.signals import Accept, Answer, Bye, Candidate, Report, Ring
from edge.model import events as ev
from edge.model.errors import BadInput
from hub.config import Settings
from hub.hub import Hub
from hub.leader import Leader
from hub.serving import HubRunning
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

from .kit import HubKit, NodeKit, Page, new_id, registered, visit_events
from .test_live import SDP, connect, hear, heard, say, signed_offer
from .test_rota_desk import OpenPage, always_open
from .test_rota_gone import GONE_S, STEP_S

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def nats() -> Iterator[Nats]:
    with Nats() as server:
        yield server


class Pair:
    """The process that the node speaks with, and the one of the page. The first one leads."""

    def __init__(self, first: HubKit, second: HubKit) -> None:
        self.first, self.second = first, second
        self._stopped = False

    async def stop_first(self) -> None:
        if not self._stopped:
            self._stopped = True
            await self.first.stop()

    async def until(self, met: Callable[[], bool], node: NodeKit | None = None) -> None:
        """Let time pass, and datagrams between a node and the first process."""
        async with asyncio.timeout(PATIENCE_S):
            while not met():
                self.first.hub.together.say_present()
                self.second.hub.together.say_present()
                if node is not None:
                    await node.step()
                await asyncio.sleep(0.01)

    async def ready(self) -> tuple[NodeKit, Page, str]:
        """A node with a visit, online at the first process, and a doctor at the second."""
        await self.second.add_doctor()
        node = await self.first.enrol()
        await self.second.hub.reload_nodes()
        patient_id, visit_id = new_id(), new_id()
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
        page = await self.second.login()
        await self.until(lambda: self.second.hub.link.online(node.node_id), node)
        return node, page, visit_id


@pytest.fixture
async def pair(tmp_path: Path, postgres: Postgres, migrated: str, nats: Nats) -> AsyncIterator[Pair]:
    url = postgres.database(migrated)
    first = await asyncio.to_thread(HubKit, tmp_path / "hub", url, nats=nats.url)
    await first.start()
    second = await asyncio.to_thread(HubKit, tmp_path / "hub", url, fresh=False, nats=nats.url, clock=first.clock)
    await second.start()
    pair = Pair(first, second)
    yield pair
    await second.stop()
    await pair.stop_first()


async def test_a_call_between_a_node_and_a_page_of_two_processes_is_set_up_reported_and_held_once(pair: Pair) -> None:
    node, page, visit_id = await pair.ready()
    call_id = new_id()
    socket = await connect(pair.second, page)
    await socket.send_str(say(Ring(call_id, visit_id)))
    await pair.until(lambda: len(node.signals) == 1, node)
    assert isinstance(heard(node)[0], Ring)
    node.signal(Accept(call_id, "Meena"))
    node.signal(signed_offer(node, call_id))
    listening = asyncio.create_task(hear(socket, "offer"))
    await pair.until(listening.done, node)
    assert (await listening)["sdp"] == SDP
    await socket.send_str(say(Answer(call_id, "v=0")))
    await socket.send_str(say(Candidate(call_id, "candidate:1")))
    await pair.until(lambda: len(node.signals) == 3, node)
    await pair.until(lambda: pair.second.hub.live._calls[call_id].taken)
    pair.first.clock.pass_s(40)
    await socket.send_str(say(Report(call_id, 30.0, 31.0, 0.5, 300)))
    await pair.until(lambda: pair.second.hub.live._calls[call_id].frames == 300)
    node.signal(Bye(call_id, "hangup"))  # the node ends it, and the page's last report comes after that
    over = asyncio.create_task(hear(socket, "bye"))
    await pair.until(over.done, node)
    await socket.send_str(say(Report(call_id, 32.0, 33.0, 0.5, 320)))
    await pair.until(lambda: any(isinstance(one, ev.CallHeld) for one in node.said_by_hub()), node)
    for _ in range(100):
        await node.step()
    held = [one for one in node.said_by_hub() if isinstance(one, ev.CallHeld)]
    assert [(one.side, one.video_s, one.audio_s, one.ended_because) for one in held] == [
        ("doctor", 32.0, 33.0, "hangup")
    ]
    await socket.close()


async def test_what_one_process_says_goes_out_through_the_other_also_when_its_word_about_it_is_lost(
    pair: Pair, nats: Nats
) -> None:
    node, page, visit_id = await pair.ready()
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    await pair.until(lambda: any(isinstance(one, ev.VisitAssigned) for one in node.said_by_hub()), node)
    nats.kill()
    try:
        assert (await page.call("POST", f"/api/visits/{visit_id}/put-back")).status == 200
        await pair.first.hub.link.send_waiting()

        def given_back() -> bool:
            assigned = [one for one in node.said_by_hub() if isinstance(one, ev.VisitAssigned)]
            return len(assigned) == 2 and assigned[-1].doctor_id == ""

        await pair.until(given_back, node)
    finally:
        nats.start()


async def test_the_rota_is_kept_by_one_and_asked_through_both_and_the_other_takes_over(pair: Pair) -> None:
    await always_open(pair.first)
    _, page, visit_id = await pair.ready()
    await OpenPage(pair.second, "asha").open()
    await pair.until(lambda: pair.first.hub.live.has_page("asha"))
    assert (pair.first.hub.front.leads, pair.second.hub.front.leads) == (True, False)

    async def state() -> dict[str, object]:
        await pair.first.hub.rota.look()
        return await page.get("/api/rota")

    reply = await page.call("PUT", "/api/rota/ready", {"ready": True})
    assert (reply.status, (await reply.json())["ready"]) == (200, True)
    assert (await state())["offer"] == visit_id
    wrong = await page.call("POST", "/api/rota/accept", {"visit_id": new_id()})
    assert (wrong.status, (await wrong.json())["code"]) == (409, "offer_over")
    nobody = await page.call("POST", f"/api/visits/{visit_id}/hand-over", {"doctor_id": "nobody"})
    assert nobody.status == 404
    await pair.stop_first()
    await pair.until(lambda: pair.second.hub.front.leads)
    await pair.second.hub.rota.look()
    assert (await page.get("/api/rota"))["offer"] == visit_id
    taken = await page.call("POST", "/api/rota/accept", {"visit_id": visit_id})
    assert (taken.status, (await taken.json())["visit"]["doctor_name"]) == (200, "Dr Asha Rao")


async def test_a_second_process_without_nats_does_not_serve(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.together.ALONE_S", 1.0)
    settings = pair.first.settings
    alone = await asyncio.to_thread(HubKit, settings.data, settings.database, fresh=False)
    with pytest.raises(HubRunning):
        await alone.start()
    await alone.hub.stop()


async def test_who_could_not_begin_to_lead_lets_go_and_begins_anew(pair: Pair) -> None:
    """A database that breaks off in the middle is what made the one before stop leading."""
    second = pair.second.hub.together
    broken = [True]

    async def begin() -> None:
        if broken:
            raise OSError("the database has gone away")

    second.on_lead.append(begin)
    await pair.stop_first()
    await pair.until(lambda: second.leader.leads or pair.second.hub.front.leads)
    third = Leader(pair.second.hub.store.engine)
    async with asyncio.timeout(PATIENCE_S):
        while not third.leads:
            await asyncio.to_thread(third.look)
    assert not pair.second.hub.front.leads
    await asyncio.to_thread(third.close)
    broken.clear()
    await pair.until(lambda: pair.second.hub.front.leads)


class Unreachable(Leader):
    """A leader whose database does not answer while ``away`` is set."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub.store.engine)
        self.away, self.back = False, threading.Event()

    def look(self) -> bool:
        if self.away:
            self.back.wait(PATIENCE_S)
        return super().look()


async def until_leads(hub: Hub, *, leads: bool) -> None:
    patience_s = time.monotonic() + PATIENCE_S
    while hub.front.leads is not leads:
        assert time.monotonic() < patience_s
        await asyncio.sleep(0.01)


async def test_who_leads_and_cannot_reach_the_database_follows_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.together.LOOK_MAX_S", 0.1)
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub")
    kit.hub.together.leader = leader = Unreachable(kit.hub)
    await kit.start()
    try:
        assert kit.hub.front.leads
        leader.away = True
        await until_leads(kit.hub, leads=False)
        leader.away = False
        leader.back.set()
        await until_leads(kit.hub, leads=True)
    finally:
        leader.back.set()
        await kit.stop()


@pytest.mark.parametrize(("nats_url", "database"), [("nats://127.0.0.1:1", ""), ("http://127.0.0.1", "postgresql:")])
def test_what_cannot_be_together_is_refused(tmp_path: Path, nats_url: str, database: str, postgres: Postgres) -> None:
    kit = HubKit(tmp_path / "hub", postgres.database() if database else "")
    settings = Settings(tmp_path / "hub", database=kit.settings.database, nats=nats_url)
    with pytest.raises(BadInput):
        Hub(settings, kit.clock.wall_ms, kit.clock.monotonic_s)


async def test_a_doctor_at_another_process_keeps_whom_she_took_when_nobody_hears_of_her_until_she_is_gone(
    pair: Pair, nats: Nats
) -> None:
    """The process that leads hears by NATS who is there; while that is down it asks the database."""
    await always_open(pair.first)
    _, page, visit_id = await pair.ready()
    laptop = await OpenPage(pair.second, "asha").open()
    assert (await page.call("POST", f"/api/visits/{visit_id}/take")).status == 200
    await pair.first.hub.rota.look()

    async def pass_s(seconds: float) -> None:
        for _ in range(int(seconds / STEP_S)):
            pair.first.clock.pass_s(STEP_S)
            await pair.second.hub.presence.keep()
            await pair.first.hub.rota.look()

    nats.kill()
    try:
        await pass_s(2 * GONE_S)
        assert set(pair.first.hub.rota._held) == {visit_id}
        pair.second.hub.live.remove(laptop)
        await pass_s(GONE_S + STEP_S)
        assert pair.first.hub.rota._held == {}
        assert [one.visit_id for one in pair.first.hub.rota._rota.waiting()] == [visit_id]
    finally:
        nats.start()
