"""A real node process beside the simulated board: button, display, battery, watchdog, update."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.node.clock import BoardTime, Kept
from edge.node.config import CLOCK_FILE
from edge.node.devices.panel import Image
from edge.node.devices.panel_update import SignedImage
from tests.kits.panel_board import ROOT, Figure, Simulator, image, typical_ms
from tests.node.kit import NAME, VILLAGE, Provisioned, Tablet, new_id, provisioned

pytestmark = pytest.mark.timeout(300)


class NodeProcess:
    """``python -m edge.node serve --panel``, started and stopped as the power does it."""

    def __init__(self, setup: Provisioned, link: Path) -> None:
        self.setup = setup
        command = [sys.executable, "-m", "edge.node", "serve", "--data", str(setup.folder), "--http", "127.0.0.1:0"]
        self.log = setup.folder.parent / "node.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--no-announce", "--panel", str(link)], stdout=subprocess.PIPE, stderr=log, cwd=ROOT
            )
        assert self.process.stdout is not None
        self.url = str(json.loads(self.process.stdout.readline())["http"])

    async def wait(self, timeout_s: float = 60.0) -> int:
        return await asyncio.to_thread(self.process.wait, timeout_s)

    def kill(self) -> None:
        """The power goes."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @contextlib.asynccontextmanager
    async def tablet(self) -> AsyncIterator[Tablet]:
        """A tablet that is logged in."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar) as http:
            tablet = Tablet(http)  # type: ignore[arg-type]
            await tablet.login(self.setup)
            yield tablet


async def until(what: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Waits for something; the board and the node go on meanwhile."""
    async with asyncio.timeout(timeout_s):
        while True:
            if what():
                return
            await asyncio.sleep(0.01)


async def running(tablet: Tablet, **wanted: object) -> dict[str, object]:
    """Waits until the node reports the board running and so; its health."""
    async with asyncio.timeout(60):
        while True:
            health = (await tablet.get("/api/panel"))["health"]
            assert isinstance(health, dict)
            if health["state"] == "running" and health["stack_free"] and all(health[k] == v for k, v in wanted.items()):
                return health
            await asyncio.sleep(0.05)


@pytest.fixture(name="setup")
async def provisioned_node(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "node")


@pytest.fixture(name="release")
def release_key(setup: Provisioned) -> bytes:
    """The private release key; the node knows its public half."""
    private = Ed25519PrivateKey.generate()
    (setup.folder / "panel").mkdir()
    (setup.folder / "panel" / "release.pub").write_text(private.public_key().public_bytes_raw().hex())
    return private.private_bytes_raw()


@pytest.mark.serial
async def test_the_button_calls_the_queue_and_the_display_shows_whose_turn_it_is(
    simulator: Path, firmware: Path, tmp_path: Path, setup: Provisioned, figure: Figure
) -> None:
    link = tmp_path / "port"
    board = Simulator(simulator, firmware, tmp_path / "b", link=link)
    node = NodeProcess(setup, link)
    try:
        async with node.tablet() as tablet:
            visits = []
            for _ in range(4):
                _, visit = await tablet.register()
                await tablet.fill(visit)
                visits.append(visit)
            await running(tablet)
            to_queue, to_display = [], []
            async with tablet.http.ws_connect("/api/live") as live:
                for number, visit in enumerate(visits, start=1):
                    seen = len(board.lines)
                    board.tell("press 100")
                    called = await next_called(live)
                    came = time.monotonic()
                    await until(lambda seen=seen: any(line == "released" for _, line in board.lines[seen:]))  # type: ignore[misc]
                    began = board.when("released", seen)
                    to_queue.append(1000 * (came - began))
                    assert called["visit_id"] == visit
                    assert called["again"] is False
                    await until(lambda number=number: shown(board).endswith(f"00{number}"))  # type: ignore[misc]
                    at = next(at for at, line in reversed(board.lines) if line.startswith("display"))
                    to_display.append(1000 * (at - began))
                board.tell("press 1200")
                called = await next_called(live)
                await until(lambda: sum(line == "released" for _, line in board.lines) == 5)
                assert (called["visit_id"], called["again"]) == (visits[-1], True)
                await until(lambda: any(line == "buzz on" for _, line in board.lines))
                await press(board)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await next_called(live)  # nobody is left
            to_queue.sort()
            to_display.sort()
            figure(f"button released → queue: median {to_queue[1]:.0f} ms, worst {to_queue[-1]:.0f} ms")
            figure(f"… → display: median {to_display[1]:.0f} ms, worst {to_display[-1]:.0f} ms")
            assert typical_ms(to_queue) <= 100
            assert typical_ms(to_display) - typical_ms(to_queue) <= 100
    finally:
        node.kill()
        board.close()


@pytest.mark.serial
async def test_a_press_calls_nobody_while_the_records_are_locked_or_when_it_is_old(
    simulator: Path, firmware: Path, tmp_path: Path, setup: Provisioned
) -> None:
    link = tmp_path / "port"
    board = Simulator(simulator, firmware, tmp_path / "b", link=link)
    node = NodeProcess(setup, link)
    try:
        async with aiohttp.ClientSession(node.url) as http:
            await running(Tablet(http))  # type: ignore[arg-type]
        await press(board)
        await until(lambda: any(line == "buzz on" for _, line in board.lines), 5)
        async with node.tablet() as tablet:
            _, visit = await tablet.register()
            await tablet.fill(visit)
            async with tablet.http.ws_connect("/api/live") as live:
                node.process.send_signal(signal.SIGSTOP)
                await press(board)
                await asyncio.sleep(8)
                node.process.send_signal(signal.SIGCONT)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(2):
                        await next_called(live)
                await press(board)
                assert (await next_called(live))["visit_id"] == visit
    finally:
        node.kill()
        board.close()


async def press(board: Simulator) -> None:
    """A short press of the button, over when this returns."""
    seen = len(board.lines)
    board.tell("press 100")
    await until(lambda: any(line == "released" for _, line in board.lines[seen:]))


async def next_called(live: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    while True:
        message = await live.receive_json()
        assert isinstance(message, dict)
        if message["type"] == "called":
            return message


def shown(board: Simulator) -> str:
    return next((line for _, line in reversed(board.lines) if line.startswith("display")), "")


async def test_an_empty_battery_ends_the_node_in_order_and_the_mains_wake_it_with_nothing_lost(
    simulator: Path, firmware: Path, tmp_path: Path, setup: Provisioned, figure: Figure
) -> None:
    link = tmp_path / "port"
    board = Simulator(simulator, firmware, tmp_path / "b", link=link, speed=6)
    node = NodeProcess(setup, link)
    acknowledged: list[str] = []
    try:
        async with node.tablet() as tablet:
            await running(tablet)
            board.tell("mains 0")
            board.tell("adc 0 2070")  # 11.5 V behind the divider: a warning
            await until_fault(tablet, "battery_low")
            board.tell("adc 0 1980")  # 11.0 V: the board asks for the shutdown
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                async with asyncio.timeout(30):
                    while True:
                        status, reply = await tablet.command(
                            "register_patient",
                            patient_id=new_id(),
                            person={"name": NAME, "gender": "female", "village": VILLAGE, "age": {"value": 34}},
                        )
                        if status != 200:
                            break
                        patient = reply["patient"]  # an answer of 200: it must never be lost
                        assert isinstance(patient, dict)
                        acknowledged.append(str(patient["patient_id"]))
        assert await node.wait() == 0, "ended by itself, in order"
        said = [json.loads(line) for line in node.log.read_text().splitlines()]
        asked = next(line for line in said if line.get("kind") == "shutdown_asked")
        accepted = next(line for line in said if line["event"] == "panel_shutdown_acknowledged")
        assert accepted["accepted"] is True
        figure(f"from the question to the acknowledgement: {(accepted['time_ms'] - asked['time_ms']) / 1000:.1f} s")
        assert not [line for _, line in board.lines if line == "pi off"], "the power stays until the system has halted"
        await asyncio.to_thread(board.wait_for, "pi off", 60.0)
        board.tell("adc 0 2290")
        board.tell("mains 1")
        await asyncio.to_thread(board.wait_for, "pi on", 60.0)
        node = NodeProcess(setup, link)
        async with node.tablet() as tablet:
            assert acknowledged
            for patient_id in acknowledged:
                await tablet.get(f"/api/patients/{patient_id}")
            await running(tablet, mains=True)
        figure(f"{len(acknowledged)} records acknowledged while the battery died, all there")
    finally:
        node.kill()
        board.close()


async def until_fault(tablet: Tablet, fault: str) -> None:
    async with asyncio.timeout(60):
        while True:
            faults = (await tablet.get("/api/panel"))["faults"]
            assert isinstance(faults, list)
            if fault in faults:
                return
            await asyncio.sleep(0.05)


async def test_a_hung_node_is_power_cycled_and_keeps_what_it_acknowledged(
    simulator: Path, firmware: Path, tmp_path: Path, setup: Provisioned, figure: Figure
) -> None:
    link = tmp_path / "port"
    board = Simulator(simulator, firmware, tmp_path / "b", link=link, speed=6)
    node = NodeProcess(setup, link)
    try:
        async with node.tablet() as tablet:
            await running(tablet)
            patient, visit = await tablet.register()
            await tablet.fill(visit)
        node.process.send_signal(signal.SIGSTOP)
        hung = time.monotonic()
        await asyncio.to_thread(board.wait_for, "pi off", 60.0)
        after_s = (time.monotonic() - hung) * 6
        node.kill()
        await asyncio.to_thread(board.wait_for, "pi on", 60.0)
        node = NodeProcess(setup, link)
        async with node.tablet() as tablet:
            await tablet.get(f"/api/patients/{patient}")
            await tablet.get(f"/api/visits/{visit}")
            await running(tablet)
        figure(f"hung node without power after {after_s:.0f} s of the board's time")
    finally:
        node.kill()
        board.close()


async def test_a_node_updates_its_board_and_takes_a_bad_application_back_without_a_hand(
    simulator: Path, firmware: Path, newer: Path, tmp_path: Path, setup: Provisioned, release: bytes, figure: Figure
) -> None:
    link = tmp_path / "port"
    files = setup.folder / "panel"
    board = Simulator(simulator, firmware, tmp_path / "b", link=link, speed=4, uart=4)
    node = NodeProcess(setup, link)
    try:
        async with node.tablet() as tablet:
            await running(tablet, app_version=1)
            good = tmp_path / "good.upk"
            good.write_bytes(SignedImage.sign(image(newer, 2), release).raw)
            assert await panel("update", str(good), "--data", str(setup.folder)) == 0
            await running(tablet, app_version=2)
            await until((files / "good.img").exists, 60)
            bad = tmp_path / "bad.upk"
            bad.write_bytes(SignedImage.sign(Image(bytes([0xFF, 0xCF]) * 200, 3), release).raw)
            assert await panel("update", str(bad), "--data", str(setup.folder)) == 0
            await until((files / "refused.img").exists, 60)
            dead = time.monotonic()
            await running(tablet, app_version=2)
            back_s = time.monotonic() - dead
            figure(f"the application before runs again {back_s:.1f} s after the bad one was given up")
            assert back_s <= 60
            assert await panel("hold", "--data", str(setup.folder)) == 0, "confirmed by the board"
            assert (files / "held").exists()
            assert await panel("release", "--data", str(setup.folder)) == 0
            await until(lambda: not (files / "held").exists())
            other = Ed25519PrivateKey.generate().private_bytes_raw()
            raw, old = good.read_bytes(), SignedImage.sign(image(firmware, 1), release).raw
            spoilt = {
                "forged": (raw[:-1] + bytes([raw[-1] ^ 1]), "image_refused"),
                "truncated": (raw[: len(raw) // 2], "image_refused"),
                "of_another_key": (SignedImage.sign(image(newer, 4), other).raw, "image_refused"),
                "no_image": (b"hello", "image_refused"),
                "older": (old, "image_older"),
            }
            for name, (data, code) in spoilt.items():
                (tmp_path / name).write_bytes(data)
                assert await refused("update", str(tmp_path / name), "--data", str(setup.folder)) == code, name
            assert not (files / "wanted.img").exists()
            await running(tablet, app_version=2)
    finally:
        node.kill()
        board.close()


async def panel(*arguments: str) -> int:
    """One ``panel`` command."""
    command = [sys.executable, "-m", "edge.node", "panel", *arguments]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL)
    return await process.wait()


async def refused(*arguments: str) -> str:
    """The code with which a ``panel`` command is refused."""
    command = [sys.executable, "-m", "edge.node", "panel", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 1
    return str(json.loads(done.stderr)["error"]["code"])


async def test_a_developer_simulates_a_board_by_the_command_line_and_looks_at_it(tmp_path: Path) -> None:
    link = tmp_path / "port"
    command = [sys.executable, "-m", "edge.node", "panel", "simulate", "--build", str(tmp_path), "--link", str(link)]
    simulated = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert simulated.stdout is not None and simulated.stdin is not None
        async with asyncio.timeout(120):
            assert (await simulated.stdout.readline()).startswith(b"pty ")
        assert await panel("status", "--port", str(link)) == 0
        simulated.stdin.write(b"quit\n")
        assert await asyncio.wait_for(simulated.wait(), 30) == 0
    finally:
        if simulated.returncode is None:
            simulated.terminate()
            await simulated.wait()


def said_by(node: NodeProcess, event: str) -> list[dict[str, object]]:
    """What the node has logged of an event."""
    lines = [json.loads(line) for line in node.log.read_text().splitlines()]
    return [line for line in lines if line.get("event") == event]


async def test_the_command_line_tells_how_the_board_stands_and_a_lost_cable_is_found_again(
    simulator: Path, firmware: Path, tmp_path: Path, setup: Provisioned
) -> None:
    link = tmp_path / "port"
    board = Simulator(simulator, firmware, tmp_path / "b", link=link)
    command = [sys.executable, "-m", "edge.node", "panel", "status", "--port", str(link)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["state"], said["app_version"], said["mains"]) == ("running", 1, True)
    assert said["log"][0]["kind"] == 10, "the restart"
    # The machine's clock runs ten hours ahead of what board and hub told last.
    told = Kept(0, time.time_ns() // 1_000_000 - 36_000_000, BoardTime(1, 0.0))
    (setup.folder / CLOCK_FILE).write_bytes(msgspec.json.encode(told))
    node = NodeProcess(setup, link)
    try:
        async with node.tablet() as tablet:
            await running(tablet)
            await until(lambda: bool(said_by(node, "clock_set_by_board")))
            busy = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=False)
            assert busy.returncode == 1
            assert json.loads(busy.stderr)["error"]["code"] == "panel_unreachable"
            board.close()
            await until_fault(tablet, "panel_absent")
            board = Simulator(simulator, firmware, tmp_path / "b", link=link)
            health = await running(tablet)
            assert health["opens"] == 2
        node.process.terminate()
        assert await node.wait() == 0
        assert said_by(node, "panel_leave_taken")[-1]["heard"] is True, "the board waits for it as for one that starts"
    finally:
        node.kill()
        board.close()
