"""Enrolment over a network that is slow, and that loses the answer: one token is enough."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.model import provisioning
from edge.node import provision
from edge.node.config import load_config
from edge.node.first_boot import SITE_FILE
from edge.node.setting_up import SettingUp
from hub.store.schema import doctors
from tests.hub.kit import HubKit

PIECE_BYTES = 1_000
DOCTORS = 120


class ThinLine:
    """Between a node and the hub's HTTP: answers come in small pieces, and some break off in the middle."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cut: set[str] = set()
        """Requests (method and path) of which the next answer breaks off."""
        self.asked: list[str] = []
        self._at_work: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                what = b" ".join(head.split()[:2]).decode()
                self.asked.append(what)
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                back.write(head + await reader.readexactly(int(lengths[0][15:]) if lengths else 0))
                answer = await there.readuntil(b"\r\n\r\n")
                lengths = [line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                answer += await there.readexactly(int(lengths[0][15:]))
                if what in self.cut:
                    self.cut.discard(what)
                    writer.write(answer[: len(answer) // 2])
                    await writer.drain()
                    return
                for at in range(0, len(answer), PIECE_BYTES):
                    writer.write(answer[at : at + PIECE_BYTES])
                    await writer.drain()
                    await asyncio.sleep(0.002)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            back.close()
            self._at_work.discard(task)


@pytest.fixture
async def line(kit: HubKit) -> AsyncIterator[tuple[ThinLine, str]]:
    assert kit.client is not None
    assert kit.client.port is not None
    thin = ThinLine(kit.client.port)
    yield thin, await thin.start()
    await thin.stop()


async def test_an_answer_that_comes_in_pieces_and_breaks_off_costs_no_second_token(
    kit: HubKit, line: tuple[ThinLine, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "HTTP_AGAIN_S", 0.0)
    await kit.add_doctor()
    one = await kit.hub.store.read(lambda connection: dict(connection.execute(doctors.select()).one()._mapping))
    more = [{**one, "doctor_id": f"doctor{number}", "name": f"Dr {number}"} for number in range(1, DOCTORS)]
    await kit.hub.store.write(lambda connection: connection.execute(doctors.insert(), more))
    thin, url = line
    thin.cut = {"GET /enrol/keys", "POST /enrol"}
    folder = tmp_path / "node"
    folder.mkdir(mode=0o700)
    made = await provision.enrol_node(folder, url, await kit.site_token("UP07"))
    assert made.config.site.code == "UP07"
    assert await asyncio.to_thread(load_config, folder) == made.config
    assert thin.asked == ["GET /enrol/keys"] * 2 + ["POST /enrol"] * 2
    assert len(kit.hub.directory.node_ids()) == 1


async def test_a_flashed_node_begins_in_the_language_of_its_card(
    kit: HubKit, line: tuple[ThinLine, str], tmp_path: Path
) -> None:
    _, url = line
    wifi = provisioning.Wifi("Namunapur", "golghar-42")
    token = await kit.site_token("UP08")
    site = provisioning.Provisioning(1, url, token, "04711000", wifi, language="en")

    def begun() -> SettingUp:
        (tmp_path / SITE_FILE).write_bytes(provisioning.encode(site))
        return SettingUp(tmp_path)

    now = await (await asyncio.to_thread(begun)).enrol()
    assert now.problem is None
    assert (await asyncio.to_thread(load_config, tmp_path)).language == "en"
