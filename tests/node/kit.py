"""A provisioned node in a temporary folder, its hub's keys, and a client that behaves like a tablet."""

import asyncio
import atexit
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from edge.model.ids import ID_BYTES, make_id
from edge.model.records import Role
from edge.node import provision
from edge.node.app import Node
from edge.node.config import NodeConfig, Site
from edge.node.devices.registry import Configured
from edge.node.journal import Secrets
from edge.node.printing.port import Printer
from edge.sync import seal

PIN = "482915"
NAME = "सुनीता Markerbai"
VILLAGE = "Gupthmarkerpur"
MOBILE = "5550987123"
COMPLAINT = "dukhmarker in the elbow"


class Provisioned(Struct, frozen=True):
    """What somebody who set the node up has in hand."""

    folder: Path
    config: NodeConfig
    hub: seal.HubKeys
    record: seal.NodeRecord
    staff_id: str
    badge: str
    recovery: str


def new_id() -> str:
    return make_id(secrets.token_bytes(ID_BYTES))


_made: list[Provisioned] = []


async def provisioned(folder: Path) -> Provisioned:
    """A copy of a node that is made once per test process."""
    if not _made:
        home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="upkendra-test-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        _made.append(await newly_provisioned(home / "data"))
    await asyncio.to_thread(shutil.copytree, _made[0].folder, folder)
    return msgspec.structs.replace(_made[0], folder=folder)


async def newly_provisioned(folder: Path) -> Provisioned:
    """A node as ``enrol`` and ``add-staff`` leave it, with a hub whose private keys the test holds."""
    await asyncio.to_thread(folder.mkdir, 0o700, exist_ok=True)
    root, sign = (Ed25519PrivateKey.generate().private_bytes_raw() for _ in range(2))
    hub = seal.HubKeys((X25519PrivateKey.generate().private_bytes_raw(),), sign)
    fresh = provision.new_secrets()
    config = NodeConfig(
        secrets.token_bytes(8),
        secrets.token_bytes(32),
        fresh.device,
        seal.verifier_of(fresh.log),
        seal.public_of(fresh.records),
        seal.verifier_of(root),
        seal.verifier_of(sign),
        (seal.public_of(hub.kem[0]),),
        bytes(32),
        "127.0.0.1",
        9,
        9,
        Site("BR-RMP", "Rampur"),
        True,
    )
    record = seal.NodeRecord(
        config.node_id, config.psk, seal.verifier_of(fresh.device), config.log_public, config.records_public
    )
    code = await provision.make_store(folder, config, Secrets(fresh.log, fresh.records))
    staff, badge = await provision.add_staff(folder, config, (code, ""), "Asha Devi", "आशा देवी", Role.ANM, PIN)
    return Provisioned(folder, config, hub, record, staff.staff_id, badge, code)


class Tablet:
    """A client with a cookie and the CSRF value, as the tablet's page has them."""

    def __init__(self, http: TestClient) -> None:  # type: ignore[type-arg]
        self.http = http
        self.csrf = ""

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        """Status and JSON of one request."""
        headers = {"X-CSRF": self.csrf, "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        async with self.http.request(method, path, data=data, headers=headers) as reply:
            return reply.status, await _json(reply)

    async def get(self, path: str) -> dict[str, object]:
        status, reply = await self.call("GET", path)
        assert status == 200, (path, status, reply)
        return reply

    async def say(self, kind: str, **fields: object) -> dict[str, object]:
        """One command that has to succeed."""
        status, reply = await self.command(kind, **fields)
        assert status == 200, (kind, status, reply)
        return reply

    async def command(self, kind: str, **fields: object) -> tuple[int, dict[str, object]]:
        return await self.call("POST", "/api/commands", {"type": kind, "command_id": new_id(), **fields})

    async def login(self, setup: Provisioned) -> None:
        status, _ = await self.call("POST", "/api/unlock", {"badge": setup.badge, "pin": PIN})
        assert status == 200
        status, reply = await self.call("POST", "/api/session", {"staff_id": setup.staff_id, "pin": PIN})
        assert status == 200, reply
        self.csrf = str(reply["csrf"])

    async def register(self) -> tuple[str, str]:
        """A patient with an open visit: (patient id, visit id)."""
        patient, visit = new_id(), new_id()
        person = {"name": NAME, "gender": "female", "village": VILLAGE, "age": {"value": 34}, "mobile": MOBILE}
        await self.say("register_patient", patient_id=patient, person=person)
        await self.say("open_visit", visit_id=visit, patient_id=patient)
        return patient, visit

    async def fill(self, visit: str) -> str:
        """Consent, complaint, history and vitals of a visit, then its token."""
        for purpose in ("teleconsultation", "data"):
            await self.say(
                "record_consent",
                visit_id=visit,
                purpose=purpose,
                given=True,
                method="spoken",
                language="hi",
                statement_version="v1",
            )
        await self.say(
            "record_complaints", visit_id=visit, complaints=[{"code": "fever", "text": COMPLAINT, "duration": 3}]
        )
        await self.say("record_history", visit_id=visit, history={}, allergies={"none_known": True})
        measured = {"temp_c": 38.2, "hr": 96, "rr": 18, "spo2": 97, "sbp": 118, "dbp": 76}
        readings = [{"vital": vital, "value": value} for vital, value in measured.items()]
        await self.say("record_vitals", visit_id=visit, vitals={"readings": readings, "avpu": "A", "oxygen": False})
        reply = await self.say("issue_token", visit_id=visit)
        found = reply["visit"]
        assert isinstance(found, dict)
        return str(found["token"])


async def _json(reply: ClientResponse) -> dict[str, object]:
    raw = await reply.read()
    if not raw or "json" not in reply.content_type:
        return {}
    decoded = msgspec.json.decode(raw)
    return decoded if isinstance(decoded, dict) else {"items": decoded}


class Served:
    """A node that serves inside the test process."""

    def __init__(
        self,
        setup: Provisioned,
        camera: str = "test",
        devices: Sequence[Configured] = (),
        printer: Printer | None = None,
    ) -> None:
        self.setup = setup
        self.printer = printer
        self.camera = camera
        self.devices = devices
        self.node: Node
        self.tablet: Tablet

    async def __aenter__(self) -> "Served":
        run = secrets.token_bytes(8)
        parts = (self.camera, self.devices, self.printer)
        self.node = await asyncio.to_thread(Node, self.setup.folder, self.setup.config, run, *parts)
        await self.node.start()
        server = TestServer(await self.node.web_app())
        await server.start_server(access_log=None)
        client = TestClient(server)
        self.tablet = Tablet(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tablet.http.close()
        await self.node.stop()


def contents(folder: Path) -> bytes:
    """Every byte of every file below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def settled() -> None:
    """Let background sealing of a moment ago finish."""
    await asyncio.sleep(0.4)
