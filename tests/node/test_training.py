"""Practice: made-up patients that can meet no real ones, and nothing that leaves the machine."""

import asyncio
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge.model.errors import Refused
from edge.node import provision, training
from edge.node.config import NODE_FILE, load_config
from edge.node.web.api import COOKIE, TRAINING_COOKIE
from tests.node.kit import NAME, Provisioned, Served, Tablet, provisioned
from tests.node.test_cli import run


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    """The clinic's own node."""
    return await provisioned(tmp_path / "data")


async def enter(tablet: Tablet, made: training.Practice) -> None:
    """Log in as the command said."""
    assert (await tablet.call("POST", "/api/unlock", {"badge": made.badge, "pin": made.pin}))[0] == 200
    status, reply = await tablet.call("POST", "/api/session", {"staff_id": made.staff_id, "pin": made.pin})
    assert status == 200
    tablet.csrf = str(reply["csrf"])


async def test_a_practice_node_is_marked_has_its_own_people_and_sends_nothing_to_anybody(
    setup: Provisioned, tmp_path: Path
) -> None:
    folder = tmp_path / "practice"
    folder.mkdir()
    made = await training.make_training(folder)
    config = await asyncio.to_thread(load_config, folder)
    assert config.training and config.demo and config.hub_host == ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hub:
        hub.bind(("127.0.0.1", 0))
        hub.setblocking(False)
        reachable = replace(config, hub_host="127.0.0.1", udp_port=hub.getsockname()[1])
        async with Served(replace(setup, folder=folder, config=reachable)) as served:
            tablet = served.tablet
            await enter(tablet, made)
            assert (await tablet.get("/api/status"))["training"] is True
            assert (await tablet.get("/api/board"))["training"] is True
            found = (await tablet.get("/api/patients?q="))["items"]
            assert isinstance(found, list) and len(found) == len(training.PEOPLE)
            assert {str(one["person"]["name"]).split()[0] for one in found} == {"अभ्यास"}
            _, visit = await tablet.register()
            assert await tablet.fill(visit) == f"{training.CODE}-001"
            await served.node.clinic.seal_now()
            assert not any(one.up for one in served.node.link.bearers())
            cookies = {cookie.key for cookie in tablet.http.session.cookie_jar}
            assert cookies == {TRAINING_COOKIE} and TRAINING_COOKIE != COOKIE
        with pytest.raises(BlockingIOError):
            hub.recv(2048)
    async with Served(setup) as real:
        await real.tablet.login(setup)
        assert (await real.tablet.get("/api/status"))["training"] is False
        assert (await real.tablet.get("/api/patients?q="))["items"] == []
        assert (await real.tablet.call("POST", "/api/unlock", {"badge": made.badge, "pin": made.pin}))[0] == 401
    raw = await asyncio.to_thread(lambda: b"".join(one.read_bytes() for one in folder.rglob("*") if one.is_file()))
    assert NAME.encode() not in raw, "it is sealed like any other"


async def test_practice_and_the_clinic_never_share_a_folder_and_a_stick_carries_nothing_of_it(
    setup: Provisioned, tmp_path: Path
) -> None:
    with pytest.raises(Refused):
        await training.make_training(setup.folder)
    assert not (await asyncio.to_thread(load_config, setup.folder)).training
    folder, stick = tmp_path / "practice", tmp_path / "stick"
    stick.mkdir()
    code, printed, _ = await asyncio.to_thread(run, "training", "--data", str(folder))
    assert code == 0 and printed["training"] is True and str(printed["badge"]).startswith("UPB1-")
    with pytest.raises(Refused):
        await provision.enrol_node(folder, "http://127.0.0.1:9", "UPK1-X")
    before = await asyncio.to_thread((folder / NODE_FILE).read_bytes)
    code, _, told = await asyncio.to_thread(run, "courier", "--data", str(folder), "--stick", str(stick))
    assert code == 1 and '"training"' in told
    assert list(stick.iterdir()) == [] and (folder / NODE_FILE).read_bytes() == before
    code, _, told = await asyncio.to_thread(
        run, "serve", "--data", str(folder), "--http", "127.0.0.1:0", "--sms-modem", "/dev/null", "--sms-hub", "+911"
    )
    assert code == 1 and "no SMS" in told
