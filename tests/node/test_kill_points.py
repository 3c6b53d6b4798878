"""SIGKILL between any two durable steps of a real node process: nothing shown as saved is lost or doubled."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from edge.model import events as ev
from edge.node.config import save_config
from tests.node.hubside import HubSide
from tests.node.kit import PIN, Provisioned, Tablet, new_id, provisioned
from tests.node.test_emergency import Case
from tests.node.test_link import until

POINTS = (
    "journal.decided:2",
    "journal.appended:3",
    "journal.committing:3",
    "journal.committed:3",
    "journal.sealed:4",
    "outbox.added:4",
    "journal.covered:4",
    "ack.stored:4",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return asyncio.run(provisioned(tmp_path_factory.mktemp("original") / "data"))


class Process:
    """One ``serve`` of the node."""

    def __init__(self, child: asyncio.subprocess.Process, url: str) -> None:
        self.child = child
        self.url = url

    @classmethod
    async def start(cls, folder: Path, kill_at: str = "") -> "Process":
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge.node", "serve", "--data", str(folder), "--http", "127.0.0.1:0", "--no-announce",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "UPKENDRA_KILL_AT": kill_at},
        )  # fmt: skip
        assert child.stdout is not None
        ready = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
        return cls(child, ready["http"])

    async def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.child.wait(), 15)


@contextlib.asynccontextmanager
async def logged_in(process: Process, setup: Provisioned) -> AsyncIterator[Tablet]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(process.url, cookie_jar=jar) as http:
        tablet = Tablet(http)  # type: ignore[arg-type]
        await tablet.login(setup)
        yield tablet


def commands() -> list[dict[str, object]]:
    """Three patients, each with a visit, a complaint and a token."""
    said: list[dict[str, object]] = []
    for _ in range(3):
        patient, visit = new_id(), new_id()
        person = {"name": f"Patient {patient}", "gender": "female", "village": "Rampur", "age": {"value": 34}}
        said += [
            {"type": "register_patient", "command_id": new_id(), "patient_id": patient, "person": person},
            {"type": "open_visit", "command_id": new_id(), "visit_id": visit, "patient_id": patient},
            {
                "type": "record_complaints",
                "command_id": new_id(),
                "visit_id": visit,
                "complaints": [{"code": "fever", "duration": 2}],
            },
            {
                "type": "record_consent",
                "command_id": new_id(),
                "visit_id": visit,
                "purpose": "teleconsultation",
                "given": True,
                "method": "spoken",
                "language": "hi",
                "statement_version": "tele-1",
            },
            {"type": "issue_token", "command_id": new_id(), "visit_id": visit},
        ]
    return said


async def say_all(tablet: Tablet, said: list[dict[str, object]]) -> int:
    """Say commands until the node dies; how many were answered."""
    for number, command in enumerate(said):
        try:
            status, reply = await tablet.call("POST", "/api/commands", command)
        except aiohttp.ClientError:
            return number
        assert status == 200, reply
        await asyncio.sleep(0.1)
    return len(said)


async def copied(original: Provisioned, tmp_path: Path, hub: HubSide) -> Path:
    """A node's folder of its own for one test, which finds the hub."""
    folder = tmp_path / "data"
    await asyncio.to_thread(shutil.copytree, original.folder, folder)
    config = msgspec.structs.replace(original.config, udp_port=hub.port, wss_port=0)
    await asyncio.to_thread(save_config, folder, config)
    return folder


@pytest.mark.parametrize("kill_at", POINTS)
async def test_a_kill_loses_and_doubles_nothing(original: Provisioned, tmp_path: Path, kill_at: str) -> None:
    async with HubSide(original) as hub:
        folder = await copied(original, tmp_path, hub)
        said = commands()
        process = await Process.start(folder, kill_at)
        async with logged_in(process, original) as tablet:
            answered = await say_all(tablet, said)
        assert await asyncio.wait_for(process.child.wait(), 15) == -signal.SIGKILL
        process = await Process.start(folder)
        try:
            async with logged_in(process, original) as tablet:
                for command in said[:answered]:
                    key = "patient_id" if command["type"] == "register_patient" else "visit_id"
                    path = "/api/patients/" if key == "patient_id" else "/api/visits/"
                    await tablet.get(path + str(command[key]))
                assert await say_all(tablet, said) == len(said)
                found = await tablet.get("/api/patients?limit=100")
                assert len(found["items"]) == 3  # type: ignore[arg-type]

                async def hub_has_all() -> bool:
                    return sum(isinstance(event, ev.TokenIssued) for event in hub.events()) >= 3

                await until(hub_has_all)
        finally:
            code = await process.stop()
        assert code == 0
        kinds = Counter(type(event) for event in hub.events())
        said_kinds = (ev.PatientRegistered, ev.VisitOpened, ev.ComplaintsRecorded, ev.TokenIssued)
        assert [kinds[kind] for kind in said_kinds] == [3, 3, 3, 3]
        assert hub.conflicts == 0


@pytest.mark.parametrize("kill_at", ["down.stored", "down.importing", "down.imported"])
async def test_a_kill_while_downlink_is_taken_in_loses_and_doubles_nothing(
    original: Provisioned, tmp_path: Path, kill_at: str
) -> None:
    async with HubSide(original) as hub:
        folder = await copied(original, tmp_path, hub)
        process = await Process.start(folder, kill_at)
        async with logged_in(process, original) as tablet:
            _, visit = await tablet.register()
            hub.say(ev.DoctorNote(visit, "dr-1", "Drink water."))
            assert await asyncio.wait_for(process.child.wait(), 15) == -signal.SIGKILL
        process = await Process.start(folder)
        try:
            async with logged_in(process, original) as tablet:

                async def noted() -> bool:
                    page = await tablet.get(f"/api/visits/{visit}")
                    return bool(page["visit"]["notes"] == ["Drink water."])  # type: ignore[index]

                await until(noted)
        finally:
            assert await process.stop() == 0


@pytest.mark.parametrize("kill_at", ["outbox.locked:2", "journal.locked_taken:1"])
async def test_a_kill_at_a_locked_node_loses_and_doubles_nothing_of_an_emergency(
    original: Provisioned, tmp_path: Path, kill_at: str
) -> None:
    """The second step of a case is durable and nobody heard so; or it is in the records and not dropped yet."""
    async with HubSide(original) as hub:
        folder = await copied(original, tmp_path, hub)
        process = await Process.start(folder, kill_at)
        async with aiohttp.ClientSession(process.url) as http:
            case = Case(Tablet(http))  # type: ignore[arg-type]
            await case.open()
            with contextlib.suppress(aiohttp.ClientError):
                await case.measure(spo2=83)
                await case.tablet.call("POST", "/api/unlock", {"badge": original.badge, "pin": PIN})
        assert await asyncio.wait_for(process.child.wait(), 30) == -signal.SIGKILL
        process = await Process.start(folder)
        try:
            async with logged_in(process, original) as tablet:
                visit = (await tablet.get(f"/api/visits/{case.visit}"))["visit"]
                assert isinstance(visit, dict)
                assert visit["token"].endswith("-E-001") and len(visit["vitals"]) == 1

                async def hub_has_all() -> bool:
                    return any(isinstance(event, ev.VitalsRecorded) for event in hub.events())

                await until(hub_has_all)
        finally:
            code = await process.stop()
        assert code == 0
        kinds = Counter(type(event) for event in hub.events())
        said_kinds = (ev.PatientRegistered, ev.VisitOpened, ev.VitalsRecorded, ev.TokenIssued)
        assert [kinds[kind] for kind in said_kinds] == [1, 1, 1, 1]
        assert hub.conflicts == 0
