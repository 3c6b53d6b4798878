"""``panel status|update|hold|release|off|simulate``: the board from the command line.

``update`` leaves a signed image for the running node, or talks to the board itself with ``--port``; the port is
locked, so it cannot be used beside a node that serves. Blocking but for the session.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.model.errors import BadInput, UpkendraError

from .panel import (
    BoardFound,
    CommandDone,
    LogRead,
    PanelNews,
    PanelSession,
    StatusHeard,
    UploadEnded,
)
from .panel_port import PanelPort, PanelState
from .panel_protocol import ShutdownAck
from .panel_update import Holds, ImageRefused, ImageStore, SignedImage

ANSWER_TIMEOUT_S = 5.0
UPLOAD_TIMEOUT_S = 120.0
HOLD_TIMEOUT_S = 15.0
LEAVE_TIMEOUT_S = 2.0
LOG_RECORDS_SHOWN = 10


class PanelUnreachable(UpkendraError):
    """No board answers on this port, or the port is in use by a node that serves."""

    code = "panel_unreachable"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``panel`` to a program's commands."""
    text = "Look after the panel and power board."
    panel = commands.add_parser("panel", help=text, description=text)
    actions = panel.add_subparsers(dest="action", required=True)

    status = actions.add_parser("status", help="who is there, voltages, the board's event log")
    status.add_argument("--port", required=True, metavar="DEVICE", help="serial port of the board")

    update = actions.add_parser("update", help="install a signed application")
    update.add_argument("image", type=Path, help="signed image, *.upk")
    update.add_argument("--data", type=Path, required=True, metavar="DIR", help="the node's data folder")
    update.add_argument("--older", action="store_true", help="also when it is older than the one in use")
    update.add_argument("--port", default="", metavar="DEVICE", help="do it now; otherwise a running node does it")

    for name, text in (
        ("hold", "before the node's system is updated: a silent node is not power-cycled for an hour"),
        ("release", "after it"),
    ):
        hold = actions.add_parser(name, help=text, description=text)
        hold.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data folder of a running node")

    off = actions.add_parser("off", help="announce a shutdown by hand, so that the board cuts the power")
    off.add_argument("--port", required=True, metavar="DEVICE")
    off.add_argument("--cut-in", type=int, default=60, metavar="S", help="5 to 250 seconds")
    off.add_argument("--wake-in", type=int, default=0, metavar="S", help="wake after so long; 0: mains or button")

    simulate = actions.add_parser("simulate", help="run the board's firmware in a simulator (for developers)")
    simulate.add_argument("--build", type=Path, default=Path("build/panel"), metavar="DIR")
    simulate.add_argument("--state", type=Path, metavar="DIR", help="keep flash and EEPROM there")
    simulate.add_argument("--link", type=Path, metavar="PATH", help="symbolic link to the port")
    simulate.add_argument("--speed", type=float, default=1.0)


def run(options: argparse.Namespace) -> None:
    """Carry a parsed ``panel`` command out; prints one JSON line. Raises UpkendraError."""
    match options.action:
        case "status":
            asyncio.run(_status(options.port))
        case "update":
            _update(options)
        case "hold" | "release":
            _hold(Holds(options.data / "panel"), options.action == "hold")
        case "off":
            asyncio.run(_off(options.port, options.cut_in, options.wake_in))
        case _:
            _simulate(options)


class _Talk:
    """A port, and the waiting for what the board says on it."""

    def __init__(self, device: str) -> None:
        self._news: asyncio.Queue[PanelNews] = asyncio.Queue()
        self.port = PanelPort(device, self._news.put_nowait)

    async def wait(self, wanted: Callable[[PanelNews], bool], timeout_s: float = ANSWER_TIMEOUT_S) -> PanelNews:
        """The next news that fit. Raises PanelUnreachable."""
        try:
            async with asyncio.timeout(timeout_s):
                while not wanted(news := await self._news.get()):
                    pass
                return news
        except TimeoutError:
            raise PanelUnreachable("No board answers on this port.") from None

    def ask(self, what: Callable[[PanelSession], None]) -> None:
        self.port.ask(what)

    async def __aenter__(self) -> "_Talk":
        await self.port.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.port.health.state is PanelState.RUNNING:
            # Heartbeats were sent; without this the board would miss them in 30 s and power-cycle the Pi.
            await self.port.announce(leaving=True, timeout_s=LEAVE_TIMEOUT_S)
        await self.port.stop()


async def _status(device: str) -> None:
    async with _Talk(device) as talk:
        await talk.wait(lambda news: isinstance(news, BoardFound))
        records: list[object] = []
        if talk.port.health.state is PanelState.RUNNING:
            await talk.wait(lambda news: isinstance(news, StatusHeard))
            for back in range(LOG_RECORDS_SHOWN):
                talk.ask(lambda session, back=back: session.read_log(back))  # type: ignore[misc]
                read = await talk.wait(lambda news: isinstance(news, LogRead))
                if isinstance(read, LogRead) and read.record.kind:
                    records.append(msgspec.to_builtins(read.record))
        _print(**msgspec.to_builtins(talk.port.health), log=records)


def _update(options: argparse.Namespace) -> None:
    images = ImageStore(options.data / "panel")
    try:
        raw = options.image.read_bytes()
    except OSError:
        raise BadInput("This image cannot be read.", field="image") from None
    if not options.port:
        image = images.want(raw, older=options.older)
        _print(wanted=True, version=image.version, bytes=len(image.data))
        return
    images.check(raw, older=options.older)  # before the board is troubled
    asyncio.run(_upload(options.port, lambda running: images.check(raw, running, older=options.older)))


async def _upload(device: str, checked: Callable[[int], SignedImage]) -> None:
    async with _Talk(device) as talk:
        await talk.wait(lambda news: isinstance(news, BoardFound))
        signed = checked(talk.port.health.app_version)
        talk.ask(lambda session: session.upload(signed.image))
        ended = await talk.wait(lambda news: isinstance(news, UploadEnded), UPLOAD_TIMEOUT_S)
        assert isinstance(ended, UploadEnded)
        if not ended.ok:
            raise ImageRefused(f"The board did not take the application: {ended.reason}.", code="upload_failed")
        _print(updated=True, version=signed.image.version, bytes=len(signed.image.data))


def _hold(holds: Holds, wanted: bool) -> None:
    """Ends once the board has confirmed a hold to the running node. Raises PanelUnreachable."""
    holds.ask(wanted)
    until_s = time.monotonic() + HOLD_TIMEOUT_S
    while wanted and not holds.held():
        if time.monotonic() > until_s:
            holds.ask(False)
            raise PanelUnreachable("No running node with a panel board has confirmed the hold.")
        time.sleep(0.1)
    _print(held=wanted)


async def _off(device: str, cut_in_s: int, wake_in_s: int) -> None:
    if not 5 <= cut_in_s <= 250 or not 0 <= wake_in_s < 2**32:
        raise BadInput("The power is cut after 5 to 250 s; waking takes 0 to 2³²-1 s.", field="cut-in")
    async with _Talk(device) as talk:
        await talk.wait(lambda news: isinstance(news, BoardFound))
        talk.ask(lambda session: session.acknowledge_shutdown(cut_in_s, wake_in_s))
        done = await talk.wait(lambda news: isinstance(news, CommandDone) and isinstance(news.command, ShutdownAck))
        assert isinstance(done, CommandDone)
        _print(accepted=done.result == "done", result=done.result, cut_in_s=cut_in_s, wake_in_s=wake_in_s)


def _simulate(options: argparse.Namespace) -> None:
    """The simulator's own lines go to stdout (``pty PATH``, ``display …``), commands are read from stdin."""
    root = Path(__file__).resolve().parents[3] / "firmware"
    if shutil.which("avr-gcc") is None:
        raise BadInput("The simulator is built with gcc-avr, avr-libc and libsimavr-dev.", code="no_compiler")
    options.build.mkdir(parents=True, exist_ok=True)
    for part in ("panel", "sim"):
        command = ["make", "-s", "-C", str(root / part), f"OUT={options.build.resolve()}"]
        subprocess.run(command, check=True, stdout=sys.stderr)
    command = [str(options.build / "panel_sim"), "-b", str(options.build / "boot.bin")]
    command += ["-a", str(options.build / "app.bin"), "-s", str(options.speed)]
    if options.state is not None:
        options.state.mkdir(parents=True, exist_ok=True)
        command += ["-d", str(options.state)]
    if options.link is not None:
        command += ["-l", str(options.link)]
    subprocess.run(command, check=False)


def _print(**fields: object) -> None:
    print(json.dumps(fields, ensure_ascii=False), flush=True)
