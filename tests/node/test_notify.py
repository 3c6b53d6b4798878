"""What systemd hears of the node: that it serves, that it goes on, that it stops; nothing when its store hangs."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.node.notify import Notifier
from tests.kits.clinic import ROOT, free_port
from tests.node.kit import provisioned


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


def environment(manager: socket.socket, watchdog_us: int = 0) -> dict[str, str]:
    known = {"NOTIFY_SOCKET": manager.getsockname()}
    return known | ({"WATCHDOG_USEC": str(watchdog_us)} if watchdog_us else {})


@pytest.mark.serial
async def test_a_served_node_says_so_and_goes_on_saying_so(tmp_path: Path, manager: socket.socket) -> None:
    made = await provisioned(tmp_path / "data")
    argv = [sys.executable, "-m", "edge.node", "serve", "--data", str(made.folder), "--no-announce"]
    process = await asyncio.to_thread(
        lambda: subprocess.Popen(
            [*argv, "--http", f"127.0.0.1:{free_port()}"],
            cwd=ROOT,
            env={**os.environ, **environment(manager, 400_000)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )
    try:
        heard = [(await asyncio.to_thread(manager.recv, 100)).decode() for _ in range(4)]
        assert heard == ["READY=1", *["WATCHDOG=1"] * 3]
        process.terminate()
        while heard[-1] == "WATCHDOG=1":
            heard.append((await asyncio.to_thread(manager.recv, 100)).decode())
        assert heard[-1] == "STOPPING=1"
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()


async def test_a_store_that_hangs_starves_the_watchdog(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager, 100_000))
    answers, asked_in_vain = 0, asyncio.Event()

    async def answer() -> None:
        nonlocal answers
        answers += 1
        if answers == 4:
            asked_in_vain.set()
        if answers > 2:
            await asyncio.Event().wait()

    feeding = asyncio.create_task(notifier.feed(answer))
    await asked_in_vain.wait()
    feeding.cancel()
    manager.setblocking(False)
    heard = []
    with contextlib.suppress(BlockingIOError):
        while True:
            heard.append(manager.recv(100))
    assert heard == [b"WATCHDOG=1"] * 2


def test_without_a_manager_nothing_is_said_and_one_that_is_gone_is_no_error(tmp_path: Path) -> None:
    Notifier({}).say("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).say("READY=1")
    assert Notifier({"WATCHDOG_USEC": "soon"}).every_s == 0.0


def test_children_are_not_taken_for_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    assert Notifier.of_process().every_s == 0.5
    assert "NOTIFY_SOCKET" not in os.environ
