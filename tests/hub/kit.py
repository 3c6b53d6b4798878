"""A hub on a scratch folder, an enrolled node that speaks the real protocol in memory, and people."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path

import msgspec
import pyotp
from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import TestClient, TestServer

from edge.media.signals import Signal
from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import (
    Age,
    Allergies,
    Colour,
    Complaint,
    Gender,
    History,
    Person,
    Reading,
    TriageResult,
    Vitals,
)
from edge.sync import enrol, holdings, seal, updating
from edge.sync.bundle import BundlePayload, unpack
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import BundleAcked, DownArrived, NodeEvent, SignalArrived, StateArrived, UnlockTold, UpdateHeard
from edge.sync.log import Stream, Writer, own_salt
from edge.web.static import load
from hub import directory, doctors
from hub.app import CONSOLE_DIR, HOME_DIR, UI_DIR, build_app
from hub.backup import init_hub
from hub.config import Settings
from hub.home.gateway import DemoGateway
from hub.hub import Hub

START_MS = 1_790_000_000_000
PATIENCE_S = 20.0
PASSWORD = "correct horse battery"
_encode = msgspec.msgpack.Encoder().encode


def new_id() -> str:
    return make_id(secrets.token_bytes(ID_BYTES))


def filled(path: str) -> str:
    """A route's path with ids of nothing."""
    for name in ("visit", "blob", "saved", "answer", "staff", "glass", "third", "command", "prescription", "erasure"):
        path = path.replace("{" + name + "_id}", new_id())
    path = (
        path.replace("{node_id}", "00" * 8)
        .replace("{early_id}", "00" * 8)
        .replace("{class}", "clinical")
        .replace("{number}", "1")
    )
    return path.replace("{person_id}", "nobody").replace("{sha256}", "00" * 32)


class Clock:
    """Wall and monotonic time that only tests move."""

    def __init__(self) -> None:
        self.ms = START_MS
        self._set_ms = 0

    def wall_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return (self.ms - self._set_ms) / 1000 - 1_700_000_000

    def pass_s(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)

    def set_by_s(self, seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self.ms += int(seconds * 1000)
        self._set_ms += int(seconds * 1000)


class HubKit:
    """One hub and what a test does to it."""

    def __init__(
        self,
        data: Path,
        database: str = "",
        *,
        fresh: bool = True,
        messages: StringIO | None = None,
        nats: str = "",
        clock: Clock | None = None,
        pages: bool = False,
    ) -> None:
        """``database``: URL of an empty one; SQLite in the folder without it. ``messages``: serve patients at home.

        ``nats``: one of several processes, which share a ``clock``. ``pages``: for browsers, too.
        """
        self.clock = clock or Clock()
        self.settings = Settings(data, database=database, nats=nats)
        if fresh:
            init_hub(self.settings)
        self.messages = messages
        gateway = None if messages is None else DemoGateway(messages)
        self.hub = Hub(self.settings, self.clock.wall_ms, self.clock.monotonic_s, gateway)
        self.totp: dict[str, str] = {}
        self.client: TestClient | None = None  # type: ignore[type-arg]
        self._pages = [load(one) if pages else {} for one in (CONSOLE_DIR, UI_DIR, HOME_DIR)]

    async def start(self) -> "HubKit":
        await self.hub.start()
        console, shared, home = self._pages
        server = TestServer(build_app(self.hub, console, shared, None, home))
        self.client = TestClient(server)
        await self.client.start_server()
        return self

    async def stop(self) -> None:
        if self.client is not None:
            await self.client.close()
        await self.hub.stop()

    async def restart(self) -> "HubKit":
        """A new process on the same data."""
        await self.stop()
        again = await asyncio.to_thread(
            HubKit, self.settings.data, self.settings.database, fresh=False, messages=self.messages
        )
        again.clock.ms = self.clock.ms
        again.totp = self.totp
        return await again.start()

    async def add_doctor(self, doctor_id: str = "asha", name: str = "Dr Asha Rao") -> None:
        doctor = doctors.Doctor(doctor_id, name, "12345 MCI", "MBBS", "044-555")
        self.totp[doctor_id] = await self.hub.store.write(
            lambda connection: doctors.add_doctor(connection, self.hub.keys, doctor, PASSWORD, self.clock.ms)
        )

    def code(self, doctor_id: str = "asha") -> str:
        return pyotp.TOTP(self.totp[doctor_id]).at(self.clock.ms // 1000)

    async def site_token(self, code: str = "UP01", life_s: int = 3600, node_id: str = "") -> str:
        site = directory.Site(node_id, code, f"Site {code}", "Sitapur", True)
        return await self.hub.store.write(
            lambda connection: directory.add_token(connection, self.hub.keys, site, self.clock.ms, life_s)
        )

    async def enrol(self, code: str = "UP01", *, replaces: str = "") -> "NodeKit":
        """A new node, or another machine for the node ``replaces``."""
        token = enrol.parse_token(await self.site_token(code, node_id=replaces))
        keys = enrol.check_announcement(self.hub.keys.announcement, token)
        drawn = enrol.EnrolSecrets(*(secrets.token_bytes(32) for _ in range(4)))
        body = enrol.make_request(token, keys, drawn)
        ports = directory.Ports(1, 2)
        reply = await self.hub.store.write(
            lambda connection: directory.enrol_node(connection, self.hub.keys, body, ports, self.clock.ms)
        )
        grant, node_keys = enrol.open_reply(reply, body, drawn, keys)
        await self.hub.reload_nodes()
        return NodeKit(self, node_keys, drawn, grant)

    async def login(self, doctor_id: str = "asha") -> "Page":
        """A fresh browser that has logged in; moves the clock on, since a code is good once."""
        self.clock.pass_s(30)
        page = Page(self)
        reply = await page.call(
            "POST", "/api/login", {"user": doctor_id, "password": PASSWORD, "totp": self.code(doctor_id)}
        )
        assert reply.status == 200, await reply.text()
        page.csrf = (await reply.json())["csrf"]
        return page


class Page:
    """A doctor's browser: its own cookies and CSRF value."""

    def __init__(self, kit: HubKit) -> None:
        self._kit = kit
        self.csrf = ""
        self.cookies: dict[str, str] = {}

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ClientResponse:
        client = self._kit.client
        assert client is not None
        headers = {"X-CSRF": self.csrf, **(headers or {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        data = raw if raw is not None else None if body is None else msgspec.json.encode(body)
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        session: ClientSession = client.session
        session.cookie_jar.clear()
        reply = await client.request(method, path, data=data, headers=headers)
        for name, morsel in reply.cookies.items():
            self.cookies[name] = morsel.value
        session.cookie_jar.clear()
        return reply

    async def get(self, path: str) -> dict[str, object]:
        reply = await self.call("GET", path)
        assert reply.status == 200, await reply.text()
        found: dict[str, object] = await reply.json()
        return found


class NodeKit:
    """An enrolled node without a disk: the real log, seal and endpoint; what it heard is kept in lists."""

    def __init__(self, kit: HubKit, keys: seal.NodeKeys, drawn: enrol.EnrolSecrets, grant: enrol.EnrolGrant) -> None:
        self.kit, self.keys, self.drawn, self.grant = kit, keys, drawn, grant
        self.node_id = keys.node_id.hex()
        self.run = secrets.token_bytes(8)
        self.log = Writer(keys.node_id, self.run, Stream.CLINICAL)
        self.stamp = 0
        self.salts: dict[str, bytes] = {}
        self.acked: dict[bytes, bool] = {}
        self.levels: list[int] = []
        self.downs: dict[int, bytes] = {}
        self.signals: list[bytes] = []
        self.states: list[holdings.Message] = []
        """What the hub said about what is held."""
        self.updates: list[updating.Message | None] = []
        """What the hub said about updates."""
        self.unlocks: list[tuple[int, bytes]] = []
        """What the hub said about opening this node."""
        self.stores_downs = True
        self.endpoint = NodeEndpoint(
            keys,
            self.run,
            secrets.token_bytes(32),
            seal.Grade.LOG,
            drawn.log,
            kit.clock.monotonic_s(),
            random=secrets.token_bytes,
        )

    def entries(self, events: Sequence[ev.Event], actor: str = "anm1") -> BundlePayload:
        """Append events to the log; the payload that carries them, with a signed head."""
        raws = []
        first = self.log.seq + 1
        for event in events:
            self.stamp = next_stamp(self.stamp, self.kit.clock.ms)
            raw = _encode(ev.entry_of(event, self.stamp, actor))
            if isinstance(event, ev.VisitOpened):
                self.salts[event.visit_id] = event.salt
            self.log.append(raw, own_salt(event) or self.salts.get(ev.visit_of(event), bytes(16)))
            raws.append(raw)
        head = self.log.sign_head(self.drawn.log, seal.Grade.LOG)
        return BundlePayload(1, self.run, Stream.CLINICAL, first, tuple(raws), head)

    async def send(self, events: Sequence[ev.Event]) -> bytes:
        """Send events and wait for the acknowledgement; the bundle's id."""
        return await self.send_payload(self.entries(events))

    async def send_payload(self, payload: BundlePayload) -> bytes:
        ref = self.endpoint.seal_bundle(payload)
        self.endpoint.submit_bundle(ref, 1, self.kit.clock.monotonic_s())
        await self.until(lambda: ref.bundle_id in self.acked)
        return ref.bundle_id

    async def state(self, message: holdings.Message) -> holdings.Message:
        """Say what is held, and wait for the hub's answer."""
        known = len(self.states)
        self.endpoint.send_state(holdings.encode(message), 1, self.kit.clock.monotonic_s())
        await self.until(lambda: len(self.states) > known)
        return self.states[known]

    def signal(self, signal: Signal) -> None:
        self.endpoint.send_signal(_encode(signal), self.kit.clock.monotonic_s())

    async def until(self, met: Callable[[], bool], steps: int = 3000) -> None:
        """Carry datagrams both ways until something holds; a busy disk is given real time beside the steps."""
        patience_s = time.monotonic() + PATIENCE_S
        taken = 0
        while taken < steps or time.monotonic() < patience_s:
            if met():
                return
            await self.step()
            taken += 1
        raise AssertionError("it did not come to that")

    async def step(self) -> None:
        """One exchange of datagrams, 10 ms."""
        hub = self.kit.hub
        self.kit.clock.ms += 10
        now = self.kit.clock.monotonic_s()
        for data, _ in self.endpoint.datagrams_to_send(now):
            hub.link.endpoint.receive(data, ("mem", self.node_id), now)
        while (told := hub.link.endpoint.next_event()) is not None:
            await hub.link.take(told)
        await asyncio.sleep(0.001)
        for data, path in hub.link.endpoint.datagrams_to_send(now):
            if path == ("mem", self.node_id):
                self.endpoint.receive(data, "udp", now)
        while (heard := self.endpoint.next_event()) is not None:
            self._hear(heard)

    def _hear(self, event: NodeEvent) -> None:
        match event:
            case BundleAcked():
                self.acked[event.bundle_id] = event.quarantined
                self.levels.append(event.level)
            case DownArrived():
                self.downs[event.seq] = event.blob
                if self.stores_downs:
                    self.endpoint.down_stored(event.seq)
            case SignalArrived():
                self.signals.append(event.blob)
            case StateArrived():
                self.states.append(holdings.decode(event.body))
            case UpdateHeard():
                self.updates.append(updating.decode(event.body))
            case UnlockTold():
                self.unlocks.append((event.state, event.secret))
            case _:
                pass

    def said_by_hub(self) -> list[ev.Event | ev.Unknown]:
        """All events in the down blobs that arrived, opened and verified."""
        found: list[ev.Event | ev.Unknown] = []
        for seq in sorted(self.downs):
            down = seal.open_down(self.downs[seq], self.keys.node_id, self.drawn.records, self.keys.hub_sign)
            assert down.seq == seq
            found += [ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry)) for raw in unpack(down.payload).entries]
        return found


def about_visits(said: Sequence[ev.Event | ev.Unknown]) -> list[ev.Event | ev.Unknown]:
    """Without what the hub says at a time of its own: new doctors, and what is expected of a wait."""
    return [event for event in said if not isinstance(event, ev.StaffPublished | ev.VisitExpected)]


def registered(patient_id: str, name: str = "Sita Devi", years: int = 34) -> ev.PatientRegistered:
    person = Person(name, Gender.FEMALE, "Rampur", Age(years))
    return ev.PatientRegistered(patient_id, "UP-01-000001", person)


def visit_events(
    visit_id: str,
    patient_id: str,
    *,
    colour: Colour = Colour.GREEN,
    serial: int = 1,
    follow_up_of: str = "",
    consent: bool = True,
) -> list[ev.Event]:
    """A visit from its opening to its token, complete enough to be prescribed for."""
    return [
        ev.VisitOpened(visit_id, patient_id, secrets.token_bytes(16), "general", follow_up_of),
        ev.ConsentRecorded(visit_id, "teleconsultation", consent, "spoken", "hi", "1"),
        ev.ComplaintsRecorded(visit_id, (Complaint("fever", "", 2),)),
        ev.HistoryRecorded(visit_id, History(pregnant=False)),
        ev.AllergiesRecorded(visit_id, Allergies(True)),
        ev.VitalsRecorded(visit_id, Vitals((Reading("temp_c", 38.2), Reading("weight_kg", 52.0)), "A")),
        ev.SignsAnswered(visit_id, (), ("chest_pain",)),
        ev.Triaged(visit_id, TriageResult(colour)),
        ev.TokenIssued(visit_id, f"UP01-{serial:03d}", START_MS // 86_400_000, serial),
    ]


DRAFT: dict[str, object] = {
    "diagnosis": "Viral fever",
    "medicines": [
        {"drug_id": "F001", "dose": "1", "route": "oral", "frequency": "TDS", "duration_days": 3, "food": "after"}
    ],
    "advice": "Rest and fluids.",
}


def draft_with(drug_id: str) -> dict[str, object]:
    line = {"drug_id": drug_id, "dose": "1 measure", "route": "oral", "frequency": "BD", "duration_days": 3}
    return {**DRAFT, "medicines": [line]}
