"""Patients at home of a hub of two processes: their pages are at one, the doctor's at the other, and one is killed."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pyotp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from edge.media.signals import Accept, Answer, Bye, Offer, Report, Ring
from edge.model.records import Mode, VisitState
from hub import doctors
from hub.backup import init_hub
from hub.config import Settings
from hub.keys import load_keys
from hub.rota import store as kept
from hub.store.engine import Store
from tests.kits.clinic import Here, Server, free_port
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

from .home_kit import ALWAYS, Telephone, always_open, code_in, messages, to_text
from .kit import PASSWORD, HubKit, Page, new_id
from .test_live import connect, hear
from .test_together import PATIENCE_S, Pair, nats

__all__ = ["nats"]
SDP = "v=0\r\na=fingerprint:sha-256 AB:CD\r\n"


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    patience_s = time.monotonic() + PATIENCE_S
    while not await met():
        assert time.monotonic() < patience_s
        await asyncio.sleep(0.05)


@pytest.fixture
async def pair(tmp_path: Path, postgres: Postgres, migrated: str, nats: Nats) -> AsyncIterator[Pair]:
    url, at = postgres.database(migrated), tmp_path / "hub"
    first = await asyncio.to_thread(HubKit, at, url, nats=nats.url, messages=StringIO())
    await first.start()
    second = await asyncio.to_thread(
        HubKit, at, url, fresh=False, nats=nats.url, clock=first.clock, messages=StringIO()
    )
    await second.start()
    await always_open(first)
    made = Pair(first, second)
    yield made
    await second.stop()
    await made.stop_first()


def node_side(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in record["visit"]["calls"] if one["side"] == "node"]


async def test_a_call_between_a_doctor_and_a_patient_at_two_processes_is_held_and_written_once(pair: Pair) -> None:
    await pair.first.add_doctor()
    patient, page = await Telephone(pair.second).login(), await pair.first.login()
    visit_id = await patient.waiting()
    assert ((await patient.seen(visit_id))["place"], (await patient.get("/home/api/opening"))["open"]) == (1, True)
    doctor, telephone = await connect(pair.first, page), await patient.live()
    first, second = pair.first.hub.home, pair.second.hub.home
    assert first is not None
    assert second is not None
    await first.calls._owner_of(visit_id)
    await pair.until(lambda: first.calls.is_here(visit_id) and first.calls.is_home(sites_of(pair)))
    call_id = new_id()
    await doctor.send_str(to_text(Ring(call_id, visit_id)))
    assert (await hear(telephone, "ring"))["doctor_name"] == "Dr Asha Rao"
    await telephone.send_str(to_text(Accept(call_id)))
    await telephone.send_str(to_text(Offer(call_id, SDP)))
    assert (await hear(doctor, "offer"))["sdp"] == SDP
    await doctor.send_str(to_text(Answer(call_id, "v=0")))
    assert (await hear(telephone, "answer"))["sdp"] == "v=0"
    other = Telephone(pair.first)  # the same family at the first process
    other.cookies, other.csrf = dict(patient.cookies), patient.csrf
    elsewhere = await other.live()
    await hear(elsewhere, "ring")
    await pair.until(lambda: bool(first.calls._calls[call_id].holder))
    await elsewhere.send_str(to_text(Offer(call_id, SDP, 7)))
    assert (await hear(elsewhere, "refused"))["code"] == "call_elsewhere"
    pair.first.clock.pass_s(60)
    await telephone.send_str(to_text(Report(call_id, 40.0, 50.0, 1.0, 400, mode=Mode.VIDEO)))
    await pair.until(lambda: first.calls._calls[call_id].figures is not None)
    await doctor.send_str(to_text(Report(call_id, 45.0, 50.0, 0.5, 500, mode=Mode.VIDEO)))
    await doctor.send_str(to_text(Bye(call_id, "hangup")))
    assert (await hear(telephone, "bye"))["reason"] == "hangup"

    async def over() -> bool:
        return await patient.state(visit_id) is VisitState.RX_PENDING

    await until(over)
    for kit in (first, second):
        await kit.calls.settled()
    (call,) = node_side(await page.get(f"/api/visits/{visit_id}"))
    assert (call["video_s"], call["audio_s"], call["mode"]) == (40.0, 50.0, "video")
    told = [one for kit in (pair.first, pair.second) for one in messages(kit) if one["kind"] == "turn_next"]
    assert told == [], "her page was open, at whichever process"
    for socket in (doctor, telephone, elsewhere):
        await socket.close()


def sites_of(pair: Pair) -> str:
    """The home site, as the second process made it."""
    directory = pair.second.hub.directory
    return next(node_id for node_id in directory._sites if directory.site(node_id).home)


async def test_a_call_that_nobody_takes_is_missed_once_whichever_process_heard_of_it(pair: Pair) -> None:
    await pair.second.add_doctor()
    patient, page = await Telephone(pair.first).login(), await pair.second.login()
    visit_id = await patient.waiting()
    await pair.second.hub.reload_nodes()
    doctor, call_id = await connect(pair.second, page), new_id()
    await doctor.send_str(to_text(Ring(call_id, visit_id)))
    first, second = pair.first.hub.home, pair.second.hub.home
    assert first is not None
    assert second is not None
    await pair.until(lambda: call_id in first.calls._calls and call_id in second.calls._calls)
    pair.first.clock.pass_s(61)
    await asyncio.gather(first.calls.look(), second.calls.look())
    assert (await hear(doctor, "bye"))["reason"] == "no_answer"

    async def missed() -> bool:
        return await patient.state(visit_id) is VisitState.NO_SHOW

    await until(missed)
    await pair.until(lambda: not first.calls._calls and not second.calls._calls)
    for kit in (first, second):
        await kit.calls.settled()
        await kit.desk.sent()
    kinds = [one["kind"] for kit in (pair.first, pair.second) for one in messages(kit)]
    assert (kinds.count("missed"), kinds.count("turn_next")) == (1, 1)
    assert (await patient.seen(visit_id))["missed"] == 1
    await doctor.close()


class Remote:
    """A client of a hub in a process of its own: what :class:`tests.hub.kit.Page` needs of a test client."""

    def __init__(self, url: str) -> None:
        self.session = ClientSession()
        self._url = url

    async def request(self, method: str, path: str, **options: Any) -> Any:
        return await self.session.request(method, self._url + path, **options)

    async def ws_connect(self, path: str, **options: Any) -> ClientWebSocketResponse:
        socket: ClientWebSocketResponse = await self.session.ws_connect(self._url + path, **options)
        return socket


class Process:
    """One of two processes of a hub that serves patients; its messages to telephones."""

    def __init__(self, name: str, folder: Path, settings: Settings, ports: tuple[int, int]) -> None:
        command = [sys.executable, "-m", "hub", "serve", "--data", str(settings.data), "--database", settings.database]
        command += ["--http", f"127.0.0.1:{free_port()}", "--udp", str(ports[0]), "--tls", str(ports[1])]
        command += ["--link-address", "127.0.0.1", "--nats", settings.nats, "--home", "demo"]
        self.server = Server(name, Here(), command, folder / f"{name}.log")
        self._lines: list[str] = []
        self._more = threading.Lock()
        self.server.says = self._say
        self.client: Any = None

    def _say(self, line: str) -> None:
        with self._more:
            self._lines.append(line)

    def start(self) -> None:
        self.server.start()

    def open(self) -> "Process":
        self.client = Remote(self.server.url)
        return self

    async def code(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with self._more:
                    found = [json.loads(line) for line in self._lines if line.startswith("{")]
                codes = [one["text"] for one in found if one.get("kind") == "code"]
                if codes:
                    return code_in(codes[-1])
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        if self.client is not None:
            await self.client.session.close()
        await asyncio.to_thread(self.server.kill)


def made_with_a_doctor(settings: Settings) -> str:
    """A hub on the disk that is always open, with one doctor; her authenticator's secret. Blocking."""
    init_hub(settings)
    keys, store = load_keys(settings.data), Store(settings.database)
    asha, now_ms = doctors.Doctor("asha", "Dr Asha Rao", "12345 MCI", "MBBS", "044-555"), time.time_ns() // 1_000_000
    totp = store.write_now(lambda connection: doctors.add_doctor(connection, keys, asha, PASSWORD, now_ms))
    store.write_now(lambda connection: kept.put_hours(connection, ALWAYS))
    store.close()
    return totp


def at(process: Process, page: Telephone) -> Telephone:
    """The same browser after its proxy sent it to another process."""
    moved = Telephone(process, page.number)  # type: ignore[arg-type]
    moved.cookies, moved.csrf = dict(page.cookies), page.csrf
    return moved


async def test_the_process_of_a_patients_page_is_killed_in_a_call_and_she_goes_on_at_the_other(
    tmp_path: Path, postgres: Postgres, migrated: str, nats: Nats
) -> None:
    settings = Settings(tmp_path / "hub", database=postgres.database(migrated), nats=nats.url)
    totp = await asyncio.to_thread(made_with_a_doctor, settings)
    ports = (free_port(), free_port())
    processes = [Process(name, tmp_path, settings, ports) for name in ("hers", "doctors")]
    hers, doctors_own = processes
    try:
        for process in processes:
            await asyncio.to_thread(process.start)
            process.open()
        patient = Telephone(hers)  # type: ignore[arg-type]
        assert (await patient.ask()).status == 200
        assert (await patient.prove(await hers.code())).status == 200
        visit_id = await patient.waiting()
        page = Page(doctors_own)  # type: ignore[arg-type]
        body = {"user": "asha", "password": PASSWORD, "totp": pyotp.TOTP(totp).now()}
        login = await page.call("POST", "/api/login", body)
        assert login.status == 200, await login.text()
        page.csrf = (await login.json())["csrf"]

        async def listed() -> bool:
            items: Any = (await page.get("/api/queue"))["items"]
            return any(one["visit"]["visit_id"] == visit_id and one["site_name"] for one in items)

        await until(listed)
        telephone = await patient.live()
        doctor = await connect(doctors_own, page)  # type: ignore[arg-type]
        call_id = new_id()
        await doctor.send_str(to_text(Ring(call_id, visit_id)))
        await hear(telephone, "ring")
        await telephone.send_str(to_text(Offer(call_id, SDP)))
        await hear(doctor, "offer")
        await telephone.send_str(to_text(Report(call_id, 0.1, 0.1, 0.0, 10, mode=Mode.VIDEO)))
        await doctor.send_str(to_text(Report(call_id, 0.1, 0.1, 0.0, 10, mode=Mode.VIDEO)))
        await telephone.send_str(to_text(Offer(call_id, SDP, 1)))
        assert (await hear(doctor, "offer"))["attempt"] == 1, "so the report before it was heard too"
        await asyncio.to_thread(hers.server.kill)

        moved = at(doctors_own, patient)
        again = await moved.live()
        assert (await hear(again, "ring"))["call_id"] == call_id

        async def answer() -> None:
            while True:
                told: dict[str, Any] = await doctor.receive_json()
                if (told["type"], told.get("attempt")) == ("offer", 2):
                    await doctor.send_str(to_text(Answer(call_id, "v=0", 2)))
                    return

        answering = asyncio.create_task(answer())
        async with asyncio.timeout(PATIENCE_S):
            told: dict[str, Any] = {"type": "refused"}
            while told["type"] != "answer":  # until the others have noticed that her process is dead
                if told["type"] == "refused":
                    await asyncio.sleep(0.2)
                    await again.send_str(to_text(Offer(call_id, SDP, 2)))
                told = await again.receive_json()
        await answering
        await again.send_str(to_text(Bye(call_id, "hangup")))
        assert (await hear(doctor, "bye"))["reason"] == "hangup"

        async def over() -> bool:
            return await moved.state(visit_id) is VisitState.RX_PENDING

        await until(over)
        (call,) = node_side(await page.get(f"/api/visits/{visit_id}"))
        assert (call["video_s"], call["audio_s"]) == (0.1, 0.1), "what her page said before its process died"
    finally:
        for process in processes:
            await process.close()
