"""The SMS bearer on pseudo-terminals, in real time; and a foreign client that must get along with the simulator."""

import asyncio
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.sync import sms_pdu
from edge.sync.bearers import Bearer, BearerRefused
from edge.sync.bearers.sms import SmsBearer
from edge.sync.sms import Ledger, SmsBudget, SmsSealer, Way, open_sms
from edge.sync.sms_mail import Delivered, Left, Outcome, SmsNotSent
from tests.kits.sms import Network, PtyModems, SimModem

NODE_SIM, HUB_SIM, STRANGER = "+919000000001", "+919000000002", "+919000000003"
PSK, NODE = bytes(range(32)), b"nodenode"


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


class Side:
    """A bearer whose application keeps what comes."""

    def __init__(self, device: str, peer: str, budget: SmsBudget | None = None) -> None:
        self.came: list[bytes] = []
        self.outcomes: list[Outcome] = []
        self.failures = 0
        self.bearer = SmsBearer(device, peer, Ledger(budget or SmsBudget()), self._keep, self.outcomes.append)

    async def _keep(self, number: str, message: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no space left")
        self.came.append(message)


async def test_a_sealed_message_goes_from_sim_to_sim(tmp_path: Path) -> None:
    network = Network(delay_s=0.05)
    sims = [SimModem(network, number) for number in (NODE_SIM, HUB_SIM)]
    async with PtyModems(network, tmp_path) as ptys:
        node, hub = Side(ptys.plug(NODE_SIM), HUB_SIM), Side(ptys.plug(HUB_SIM), "")
        await node.bearer.open()
        await hub.bearer.open()
        await until(lambda: node.bearer.up and hub.bearer.up)
        _, message = SmsSealer(PSK, NODE, Way.UP, b"boot5").seal(b"help" * 60)
        key = node.bearer.submit(message, HUB_SIM, emergency=True)
        await until(lambda: bool(hub.came) and len(node.outcomes) == 2)
        assert open_sms(PSK, Way.UP, hub.came[0]).content == b"help" * 60
        assert node.outcomes == [Left(key), Delivered(key)]
        await until(lambda: not sims[1].memory)
        health = node.bearer.health
        assert (health.up, health.trouble, health.last_day, health.sim_slots) == (True, "", 3, 20)
        await node.bearer.close()
        await hub.bearer.close()


async def test_it_behaves_as_every_bearer_does(tmp_path: Path) -> None:
    network = Network(delay_s=0.05)
    SimModem(network, NODE_SIM)
    SimModem(network, HUB_SIM)
    async with PtyModems(network, tmp_path) as ptys:
        node, hub = Side(ptys.plug(NODE_SIM), HUB_SIM, SmsBudget(2, 2, 0)), Side(ptys.plug(HUB_SIM), "")
        bearer: Bearer = node.bearer
        assert (bearer.name, bearer.up) == ("sms", False)
        bearer.send(b"x" * 30)
        await bearer.open()
        with pytest.raises(BearerRefused):
            await bearer.open()
        await hub.bearer.open()
        await until(lambda: len(hub.came) == 1)
        bearer.send(b"y" * 5000)
        bearer.send(b"z" * 30)
        bearer.send(b"over the cap" * 3)
        with pytest.raises(SmsNotSent):
            node.bearer.submit(b"over the cap" * 3, HUB_SIM, emergency=True)
        await until(lambda: len(hub.came) == 2)
        await bearer.close()
        await bearer.close()
        assert not bearer.up
        bearer.send(b"x")
        await hub.bearer.close()


async def test_a_modem_that_is_pulled_out_and_put_in_again_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.sync.bearers.sms.REOPEN_S", 0.2)
    network = Network(delay_s=0.05)
    SimModem(network, NODE_SIM)
    sim = SimModem(network, HUB_SIM)
    async with PtyModems(network, tmp_path) as ptys:
        device = ptys.plug(HUB_SIM)
        hub = Side(device, NODE_SIM)
        await hub.bearer.open()
        await until(lambda: hub.bearer.up)
        ptys.unplug(HUB_SIM)
        await until(lambda: hub.bearer.health.trouble == "modem_absent")
        piece = sms_pdu.split(b"while it was away" * 2, 1)[0]
        network.inject(HUB_SIM, sms_pdu.Deliver(NODE_SIM, piece, True, 4, 0), time.monotonic())
        hub.failures = 1
        assert ptys.plug(HUB_SIM) == device
        await until(lambda: hub.failures == 0 and hub.bearer.up)
        assert sim.memory, "what could not be kept stays on the SIM"
        ptys.unplug(HUB_SIM)
        ptys.plug(HUB_SIM)
        await until(lambda: hub.came == [b"while it was away" * 2])
        await until(lambda: not sim.memory)
        await hub.bearer.close()


async def gammu(folder: Path, device: str, *arguments: str) -> str:
    """Run gammu on a port; what it prints."""
    config = folder / "gammurc"
    config.write_text(f"[gammu]\ndevice = {device}\nconnection = at115200\n")
    process = await asyncio.create_subprocess_exec(
        "gammu",
        "-c",
        str(config),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_an_independent_client_sends_to_us_and_reads_what_we_sent(tmp_path: Path) -> None:
    assert shutil.which("gammu"), "install the Debian package gammu"
    network = Network(delay_s=0.05)
    SimModem(network, NODE_SIM)
    stranger = SimModem(network, STRANGER)
    async with PtyModems(network, tmp_path) as ptys:
        node, port = Side(ptys.plug(NODE_SIM), STRANGER), ptys.plug(STRANGER)
        assert "SIMULATOR" in await gammu(tmp_path, port, "identify")
        await node.bearer.open()
        await until(lambda: node.bearer.up)
        await gammu(tmp_path, port, "sendsms", "TEXT", NODE_SIM, "-text", "Recharge now")
        await until(lambda: node.bearer.health.foreign == 1)
        message = bytes(range(1, 255))  # it prints binary text up to its first zero
        node.bearer.submit(message, STRANGER, emergency=False)
        await until(lambda: len(stranger.memory) == 2)
        listed = await gammu(tmp_path, port, "getallsms")
        assert NODE_SIM in listed
        assert "2 SMS parts" in listed
        read = re.findall(r"\(hex: ([0-9A-Fa-f]+)\)", listed)
        assert [len(piece) for piece in read] == [2 * 127, 2 * (len(message) - 127)], read
        assert bytes.fromhex("".join(read)) == message
        await node.bearer.close()
